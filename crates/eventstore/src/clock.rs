//! The only place that asks the system for the time. Everything else is given a
//! [`Clock`], so that tests decide what time it is.
//!
//! [`ClockReading`] compares a reading with times that the clock of another machine may have written; [`offset()`] and
//! [`median`] measure how far that clock is.

mod offset;
mod reading;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use uuid::Uuid;
use uuid::timestamp::context::ContextV7;

use offset::KnownOffset;
pub use offset::{median, offset};
pub use reading::ClockReading;

use crate::fault;

/// The longest single sleep. The wall clock may be set while we sleep, so it is looked at again at least this often.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Tells the time, waits, and makes ids. Cheap to clone; clones share the order of ids.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Source,
    ids: Arc<Mutex<ContextV7>>,
    offset: KnownOffset,
}

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(watch::Sender<Timestamp>),
}

/// Moves a clock that was made by [`Clock::manual`].
#[derive(Debug, Clone)]
pub struct ManualTime(watch::Sender<Timestamp>);

impl Clock {
    /// The clock of the system.
    #[must_use]
    pub fn system() -> Self {
        Self::from_source(Source::System)
    }

    /// A clock that stands still until the handle moves it. Sleepers wake when it passes their time.
    #[must_use]
    pub fn manual(start: Timestamp) -> (Self, ManualTime) {
        let now = watch::Sender::new(start);
        (
            Self::from_source(Source::Manual(now.clone())),
            ManualTime(now),
        )
    }

    /// A clock that stands still for ever.
    #[must_use]
    pub fn fixed(now: Timestamp) -> Self {
        Self::manual(now).0
    }

    fn from_source(source: Source) -> Self {
        Self {
            source,
            ids: Arc::default(),
            offset: KnownOffset::default(),
        }
    }

    /// The time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Timestamp {
        match &self.source {
            Source::System => later_by(Timestamp::now(), fault::clock_offset_seconds()),
            Source::Manual(now) => *now.borrow(),
        }
    }

    /// How far it is ahead of the clock of the database, negative where it is behind; `None` until that was measured.
    #[must_use]
    pub fn offset(&self) -> Option<SignedDuration> {
        self.offset.get()
    }

    /// Takes note of [`Clock::offset`], for all clones.
    pub fn note_offset(&self, offset: SignedDuration) {
        self.offset.set(offset);
    }

    /// A new UUIDv7 (RFC 9562 section 5.7) of this clock's time. Ids of one clock
    /// and its clones grow, also within a millisecond.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        let now = self.now();
        // The format has no time before 1970.
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::new_v7(uuid::Timestamp::from_unix(&*ids, seconds, nanoseconds))
    }

    /// Waits for this long.
    pub async fn sleep(&self, duration: Duration) {
        match &self.source {
            // Monotonic: a wall clock that is set does not matter here.
            Source::System => tokio::time::sleep(duration).await,
            Source::Manual(_) => self.sleep_until(later(self.now(), duration)).await,
        }
    }

    /// Waits until the clock shows this time or a later one.
    pub async fn sleep_until(&self, until: Timestamp) {
        match &self.source {
            Source::System => loop {
                let left = self.now().duration_until(until);
                let Some(left) = Duration::try_from(left).ok().filter(|left| !left.is_zero())
                else {
                    return;
                };
                tokio::time::sleep(left.min(LOOK_AGAIN)).await;
            },
            Source::Manual(now) => {
                // Fails only without a sender, and we hold one.
                let _ = now.subscribe().wait_for(|now| *now >= until).await;
            }
        }
    }
}

impl ManualTime {
    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        self.0.send_modify(|now| *now = later(*now, duration));
    }

    /// Sets the clock, also backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.send_replace(now);
    }
}

/// Saturates at the ends of time.
fn later_by(from: Timestamp, seconds: i64) -> Timestamp {
    from.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(from)
}

/// Saturates at the end of time.
fn later(from: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| from.checked_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    fn noon() -> Timestamp {
        "2026-01-02T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn ids_carry_the_time_and_grow() {
        let (clock, time) = Clock::manual(noon());
        let mut ids: Vec<Uuid> = (0..2000).map(|_| clock.clone().new_id()).collect();
        time.advance(Duration::from_millis(1));
        ids.push(clock.new_id());
        assert!(ids.is_sorted());
        ids.dedup();
        assert_eq!(ids.len(), 2001);
        let (seconds, _) = ids[0].get_timestamp().unwrap().to_unix();
        assert_eq!(i64::try_from(seconds).unwrap(), noon().as_second());
    }

    #[tokio::test]
    async fn sleepers_wake_when_their_time_has_come_and_not_before() {
        let (clock, time) = Clock::manual(noon());
        let mut sleep = pin!(clock.sleep(Duration::from_secs(60)));
        assert!(futures::poll!(sleep.as_mut()).is_pending());
        time.advance(Duration::from_secs(59));
        assert!(futures::poll!(sleep.as_mut()).is_pending());
        time.advance(Duration::from_secs(1));
        sleep.await;
        assert_eq!(clock.now().duration_since(noon()).as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn the_system_clock_waits() {
        let clock = Clock::system();
        let start = tokio::time::Instant::now();
        clock.sleep(Duration::from_secs(60)).await;
        assert!(start.elapsed() >= Duration::from_secs(60));
        clock.sleep_until(noon()).await; // long past: returns
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let (clock, time) = Clock::manual(Timestamp::MAX);
        time.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
