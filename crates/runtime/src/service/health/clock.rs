//! Whether the clock of this process is right: it is compared with the clock of the database, which counts for leases.

use std::{future::Future, time::Duration};

use futures::future::join_all;
use jiff::SignedDuration;
use portico_eventstore::{
    Database,
    clock::{median, offset},
};

use super::{Part, grpc};
use crate::{
    Channels, Clock, Deps, ServiceName,
    metrics::gauges::{self, Gauge, Reading},
};

/// How often it is compared.
const EVERY: Duration = Duration::from_secs(30);
/// Where nobody answered.
const AGAIN: Duration = Duration::from_secs(2);

const OFFSET: Gauge = Gauge {
    name: "portico_clock_offset_seconds",
    help: "How far the clock of this process is ahead of its database's; negative: behind.",
};

/// Whose clock counts.
pub enum Reference {
    /// That of a service's own database.
    Database(Database),
    /// What the services know of their databases' clocks; for the edge, which has no database.
    Services(Channels),
}

impl Reference {
    /// `None` where nobody answers.
    async fn offset(&self, clock: &Clock) -> Option<SignedDuration> {
        match self {
            Self::Database(database) => {
                let measured = database.clock_offset(clock).await;
                measured
                    .inspect_err(|error| tracing::debug!(%error, "the clock was not compared"))
                    .ok()
            }
            Self::Services(channels) => {
                let asked = ServiceName::ALL.map(|name| async move {
                    let before = clock.now();
                    let there = grpc::time(channels.to(name)).await?;
                    Some(offset(before, clock.now(), there))
                });
                median(join_all(asked).await.into_iter().flatten().collect())
            }
        }
    }
}

/// Compares the clock of this process now and then, until shutdown; what came of it is in [`Clock::offset`], the log
/// and the metrics.
pub fn watch_clock(deps: &Deps, reference: Reference) {
    let clock = deps.clock.clone();
    gauges::register("clock", &[OFFSET], move || read(clock.clone()));
    let (clock, tolerance) = (deps.clock.clone(), deps.config.clock_tolerance);
    let shutdown = deps.shutdown.clone();
    deps.spawn(async move {
        let compare = async {
            loop {
                let offset = reference.offset(&clock).await;
                if let Some(offset) = offset {
                    note(&clock, offset, tolerance);
                }
                let pause = offset.map_or(AGAIN, |_| EVERY);
                tokio::time::sleep(pause).await;
            }
        };
        shutdown.run_until_cancelled(compare).await;
    });
}

fn read(clock: Clock) -> impl Future<Output = Result<Vec<Reading>, std::convert::Infallible>> {
    let offset = clock.offset();
    let reading = offset.map(|offset| Reading::seconds(OFFSET, offset.as_secs_f64()));
    std::future::ready(Ok(reading.into_iter().collect()))
}

/// Says so when the clock goes wrong, and when it is right again.
fn note(clock: &Clock, offset: SignedDuration, tolerance: Duration) {
    let was_off = clock
        .offset()
        .is_some_and(|offset| is_off(offset, tolerance));
    clock.note_offset(offset);
    let offset_seconds = offset.as_secs_f64();
    match (was_off, is_off(offset, tolerance)) {
        (false, true) => tracing::error!(
            offset_seconds,
            tolerance_seconds = tolerance.as_secs(),
            "the clock of this process is {offset_seconds} s off that of its database: its calls are refused by others, and \
             it is not ready; correct the clock of the machine or of the database's"
        ),
        (true, false) => tracing::warn!(offset_seconds, "the clock of this process is right again"),
        _ => {}
    }
}

fn is_off(offset: SignedDuration, tolerance: Duration) -> bool {
    offset.unsigned_abs() > tolerance
}

/// In readiness. What was not measured yet is taken to be right.
pub(super) fn part(clock: &Clock, tolerance: Duration) -> Part {
    let off = clock.offset().filter(|offset| is_off(*offset, tolerance));
    Part {
        part: "clock".to_owned(),
        ready: off.is_none(),
        optional: false,
        reason: off.map(|_| "clock_off".to_owned()),
        offset_seconds: off.map(|offset| offset.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_beyond_the_tolerance_in_either_direction() {
        let clock = Clock::fixed(jiff::Timestamp::UNIX_EPOCH);
        let tolerance = Duration::from_secs(5);
        assert!(part(&clock, tolerance).ready, "not measured");
        for (millis, ready) in [(5000, true), (5001, false), (-5000, true), (-70_000, false)] {
            note(&clock, SignedDuration::from_millis(millis), tolerance);
            let part = part(&clock, tolerance);
            assert_eq!(part.ready, ready, "{millis}");
            let reason = part.reason.as_deref();
            assert_eq!(reason, (!ready).then_some("clock_off"));
            let told = part
                .offset_seconds
                .map(|seconds| (seconds * 1000.0).round() as i64);
            assert_eq!(told, (!ready).then_some(millis));
        }
    }
}
