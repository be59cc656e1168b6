//! Sends what is queued and due.
//!
//! `SendingStarted` is recorded before the mail server is called, at the version that was seen, so that an attempt is
//! made once. Where it stands without an outcome, a process died in between, or lost the lease of the delivery: the mail
//! server may have the message, so it is sent again with the same `Message-ID`.

use jiff::Timestamp;
use portico_eventstore::{
    StoreError, trace,
    worker::{Due, Job, Jobs, Work},
};
use portico_runtime::{config::Retry, fault, metrics::instruments};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    compose::{Composer, Obstacle},
    delivery::{Command, Delivery, Phase, Reason},
    redact::without_addresses,
    smtp::{Mailer, Refusal},
    views,
};

/// What sends.
pub struct Worker {
    pub(crate) jobs: Jobs<Delivery>,
    pub(crate) composer: Composer,
    pub(crate) mailer: Mailer,
    pub(crate) retry: Retry,
}

impl Work for Worker {
    type Of = Delivery;
    type Step = ();
    type Error = StoreError;
    const PARALLEL: usize = 8;

    fn jobs(&self) -> &Jobs<Delivery> {
        &self.jobs
    }

    async fn due(&self, now: Timestamp, limit: i64) -> Result<Due, StoreError> {
        let database = self.jobs.store().database();
        Ok(views::due(database, now, self.retry.max_delay, limit).await?)
    }

    fn next_step(&self, job: &Job<Delivery>) -> Option<(&'static str, ())> {
        let due = match job.state.phase {
            Phase::Waiting => {
                let pause = job.state.next_try_at;
                !pause.is_some_and(|until| job.reading.is_before(until))
            }
            // Begun, and this worker has the lease: whoever began it does not send any more.
            Phase::Sending => true,
            Phase::Unknown | Phase::Sent | Phase::Failed => false,
        };
        due.then_some(("mail", ()))
    }

    async fn step(&self, job: &Job<Delivery>, (): ()) -> Result<(), StoreError> {
        // Another worker may have the lease by now, and the delivery.
        let Some(started) = self.jobs.claim(job, &Command::StartSending).await? else {
            return Ok(());
        };
        fault::point("mail_sending");
        let delivery = started.state;
        let command = match self.attempt(job.id, &delivery).await {
            Ok(reply_code) => {
                fault::point("mail_sent");
                tracing::info!(delivery_id = %job.id, reply_code, "mail sent");
                Command::RecordSent { reply_code }
            }
            Err(obstacle) => self.after(job.id, &delivery, obstacle),
        };
        count(&delivery, &command);
        self.jobs.record(job, &command).await.map(drop)
    }
}

impl Worker {
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
                let pause = self.retry.pause(delivery.attempts_of_round, rand::random());
                tracing::warn!(delivery_id = %id, attempt, error, ?pause, "mail delayed");
                return Command::Delay {
                    attempt,
                    error,
                    next_try_at: Retry::after(self.jobs.clock().now(), pause),
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
