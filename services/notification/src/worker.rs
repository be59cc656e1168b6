//! Sends what is queued and due.
//!
//! One replica sends at a time, under a lease; another takes over within seconds. `SendingStarted` is recorded
//! before the mail server is called, at the version that was seen, so a delivery is taken once. Where it stands
//! without an outcome and this process is not sending it, a process ended in between: the mail server may have
//! the message, so it is sent again with the same `Message-ID`.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use portico_eventstore::{
    Context, EventStore, ExecuteError, Lease, Metadata, StoreError, Stream, trace,
};
use portico_runtime::{Clock, config::Retry, fault, metrics::instruments};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    compose::{Composer, Obstacle},
    delivery::{Command, Delivery, Reason},
    redact::without_addresses,
    smtp::{Mailer, Refusal},
    views::{self, Due},
};

/// Messages under way at once.
const CONCURRENCY: usize = 8;
/// How often to look for what other replicas queued.
const POLL: Duration = Duration::from_secs(1);
/// No two clocks of an installation differ by more than this.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);
/// How often the lease, which lasts longer, is prolonged.
const RENEW: Duration = Duration::from_secs(3);

/// What sends.
pub struct Worker {
    pub(crate) store: EventStore,
    pub(crate) composer: Composer,
    pub(crate) mailer: Mailer,
    pub(crate) retry: Retry,
    pub(crate) clock: Clock,
    pub(crate) lease: Lease,
    pub(crate) shutdown: CancellationToken,
}

impl Worker {
    /// The lease's name.
    pub const LEASE: &'static str = "mail";

    /// Runs until shutdown; then finishes what it has begun.
    pub async fn run(self) {
        let mut shift = Shift {
            worker: Arc::new(self),
            tasks: JoinSet::new(),
            sending: HashMap::new(),
            leased_at: None,
        };
        shift.run().await;
        if let Err(error) = shift.worker.lease.release().await {
            tracing::debug!(%error, "mail lease not released");
        }
    }

    /// Sends within the trace of what caused the mail, with the id of that request in every log line.
    async fn deliver(&self, due: Due) {
        let cause = match self.cause(due.id).await {
            Ok(cause) => cause,
            Err(error) => {
                tracing::warn!(delivery_id = %due.id, %error, "mail not begun");
                return self.clock.sleep(POLL).await;
            }
        };
        let span = tracing::info_span!(
            target: trace::EXPORTED,
            "mail",
            portico.delivery_id = %due.id,
        );
        trace::follow(&span, cause.place().as_ref());
        let request_id = cause.correlation.unwrap_or_else(|| self.clock.new_id());
        let lines = tracing::info_span!("mail", delivery_id = %due.id, %request_id, trace_id = trace::id(&span));
        let work = self.send(due, &cause).instrument(lines).instrument(span);
        trace::correlated(request_id, work).await;
    }

    /// Where the last event of a delivery comes from.
    async fn cause(&self, id: Uuid) -> Result<Metadata, StoreError> {
        let events = self.store.read_stream(&Stream::of::<Delivery>(id)).await?;
        Ok(events
            .last()
            .map_or_else(Metadata::default, |last| Metadata {
                causation: Some(last.id),
                ..last.metadata.clone()
            }))
    }

    async fn send(&self, due: Due, cause: &Metadata) {
        let context = self.context(cause);
        let started = self
            .store
            .execute_at::<Delivery>(due.id, due.version, &Command::StartSending, &context)
            .await;
        let delivery = match started {
            Ok(outcome) => outcome.state,
            // Somebody else was faster, or it was settled meanwhile.
            Err(ExecuteError::VersionMismatch { .. } | ExecuteError::Rejected(_)) => return,
            Err(error) => {
                tracing::warn!(delivery_id = %due.id, %error, "mail not begun");
                return self.clock.sleep(POLL).await;
            }
        };
        fault::point("mail_sending");
        let command = match self.attempt(due.id, &delivery).await {
            Ok(reply_code) => {
                fault::point("mail_sent");
                tracing::info!(delivery_id = %due.id, reply_code, "mail sent");
                Command::RecordSent { reply_code }
            }
            Err(obstacle) => self.after(due.id, &delivery, obstacle),
        };
        count(&delivery, &command);
        self.record(due.id, &command, cause).await;
    }

    /// Makes the letter and hands it over; the server's words come back without addresses.
    async fn attempt(&self, id: Uuid, delivery: &Delivery) -> Result<u16, Obstacle> {
        let letter = self.composer.letter(id, delivery).await?;
        let clean = |words: String| without_addresses(&words, &letter.address, &letter.name);
        let span = tracing::info_span!(target: trace::EXPORTED, "smtp send", otel.kind = "client");
        self.mailer
            .send(&letter)
            .instrument(span)
            .await
            .map_err(|refusal| match refusal {
                Refusal::Address => Obstacle::Final(
                    Reason::AddressInvalid,
                    "the recipient's address is not one".to_owned(),
                ),
                Refusal::Passing(words) => Obstacle::Passing(clean(words)),
                Refusal::Final(words) => Obstacle::Final(Reason::Refused, clean(words)),
            })
    }

    fn after(&self, id: Uuid, delivery: &Delivery, obstacle: Obstacle) -> Command {
        let attempt = delivery.attempts;
        let (reason, error) = match obstacle {
            Obstacle::Passing(error) if delivery.attempts_of_round < self.retry.max_attempts => {
                let pause = pause(&self.retry, delivery.attempts_of_round, rand::random());
                tracing::warn!(delivery_id = %id, attempt, error, ?pause, "mail delayed");
                return Command::Delay {
                    attempt,
                    error,
                    next_try_at: self.clock.now() + pause,
                };
            }
            Obstacle::Passing(error) => (Reason::GaveUp, error),
            Obstacle::Final(reason, error) => (reason, error),
        };
        tracing::error!(delivery_id = %id, attempt, reason = reason.as_str(), error, "mail failed");
        Command::Fail {
            attempt,
            reason,
            error,
        }
    }

    /// Records an outcome. An outcome that is lost would be another mail, so a store that is away is waited for.
    async fn record(&self, id: Uuid, command: &Command, cause: &Metadata) {
        let context = self.context(cause);
        loop {
            match self.store.execute::<Delivery>(id, command, &context).await {
                Ok(_) => return,
                Err(ExecuteError::Store(error @ StoreError::Unavailable(_)))
                    if !self.shutdown.is_cancelled() =>
                {
                    tracing::warn!(delivery_id = %id, %error, "outcome of a mail not recorded, trying again");
                    self.clock.sleep(POLL).await;
                }
                Err(error) => {
                    tracing::error!(delivery_id = %id, %error, "outcome of a mail not recorded");
                    return self.clock.sleep(POLL).await;
                }
            }
        }
    }

    fn context(&self, cause: &Metadata) -> Context {
        Context {
            metadata: Metadata {
                actor: "service:notification".to_owned(),
                command_digest: None,
                ..cause.clone()
            },
            now: self.clock.now(),
            command_id: self.clock.new_id(),
        }
    }
}

/// An outcome, for `/metrics`.
fn count(delivery: &Delivery, command: &Command) {
    let Some(mail) = &delivery.mail else { return };
    let outcome = match command {
        Command::RecordSent { .. } => "sent",
        Command::Delay { .. } => "delayed",
        Command::Fail { .. } => "failed",
        _ => return,
    };
    instruments().mail(mail.template.as_str(), outcome);
}

/// What this process is sending.
struct Shift {
    worker: Arc<Worker>,
    tasks: JoinSet<()>,
    sending: HashMap<Id, Uuid>,
    leased_at: Option<Timestamp>,
}

impl Shift {
    async fn run(&mut self) {
        let worker = Arc::clone(&self.worker);
        let mut head = worker.store.head();
        while !worker.shutdown.is_cancelled() || !self.tasks.is_empty() {
            // Marks the head as seen before looking, so that nothing queued in between is slept over.
            head.borrow_and_update();
            let pause = self.begin_due().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot look for mail to send, trying again");
                POLL
            });
            tokio::select! {
                () = worker.shutdown.cancelled(), if !worker.shutdown.is_cancelled() => (),
                Some(done) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => self.ended(done),
                _ = head.changed(), if head.has_changed().is_ok() => (),
                () = worker.clock.sleep(pause) => (),
            }
        }
    }

    fn ended(&mut self, done: Result<(Id, ()), JoinError>) {
        let task = done.map_or_else(
            |error| {
                tracing::error!(%error, "sending a mail ended unexpectedly");
                error.id()
            },
            |(task, ())| task,
        );
        self.sending.remove(&task);
    }

    /// Begins what is due, if it is this replica's turn; how long there is nothing to do.
    async fn begin_due(&mut self) -> Result<Duration, StoreError> {
        let worker = &self.worker;
        let now = worker.clock.now();
        let fresh = |at: Timestamp| now.duration_since(at).unsigned_abs() < RENEW;
        if !self.leased_at.is_some_and(fresh) {
            self.leased_at = None;
            self.leased_at = worker.lease.take(now).await?.then_some(now);
        }
        let free = CONCURRENCY.saturating_sub(self.tasks.len());
        if self.leased_at.is_none() || free == 0 || worker.shutdown.is_cancelled() {
            return Ok(POLL);
        }
        let busy: HashSet<Uuid> = self.sending.values().copied().collect();
        let database = worker.store.database();
        let now_ms = now.as_millisecond();
        let longest = (worker.retry.max_delay + CLOCK_TOLERANCE).as_millis();
        let latest_ms = now_ms.saturating_add(i64::try_from(longest).unwrap_or(i64::MAX));
        for due in views::due(database, now_ms, latest_ms, &busy, free).await? {
            let worker = Arc::clone(worker);
            let task = self.tasks.spawn(async move { worker.deliver(due).await });
            self.sending.insert(task.id(), due.id);
        }
        let next = views::next_due_ms(database, now_ms).await?;
        let left = next.map(|next| u64::try_from(next - now_ms).unwrap_or_default());
        Ok(left.map_or(POLL, |left| Duration::from_millis(left).min(POLL)))
    }
}

/// The pause after the `failed`-th failure of a round: doubled each time up to the longest, less up to a half of
/// it, so that what failed together is not tried together. `random` is 0 to 1.
fn pause(retry: &Retry, failed: u32, random: f64) -> Duration {
    let doublings = failed.saturating_sub(1).min(30);
    let longest = retry
        .first_delay
        .saturating_mul(1 << doublings)
        .min(retry.max_delay);
    longest.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_differ() {
        let retry = Retry {
            first_delay: Duration::from_secs(2),
            max_delay: Duration::from_secs(600),
            max_attempts: 20,
        };
        let seconds = |failed, random| pause(&retry, failed, random).as_secs_f64();
        assert_eq!(seconds(1, 0.0), 2.0);
        assert_eq!(seconds(2, 0.0), 4.0);
        assert_eq!(seconds(3, 1.0), 4.0);
        assert_eq!(seconds(10, 0.0), 600.0);
        assert_eq!(seconds(u32::MAX, 1.0), 300.0);
    }
}
