//! Sends what is queued and due.
//!
//! `SendingStarted` is recorded before the mail server is called, at the version that was loaded, so that only one worker
//! makes the attempt. When no outcome follows, a process crashed or lost its lease in between: the mail server may have
//! accepted the message, so it is sent again with the same `Message-ID`.

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

/// Sends queued e-mails.
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

    fn due_at(&self, delivery: &Delivery) -> Option<Timestamp> {
        match delivery.phase {
            Phase::Waiting => Some(delivery.next_try_at.unwrap_or(Timestamp::MIN)),
            // This worker has the lease, so the one that began the attempt has crashed or given up.
            Phase::Sending => Some(Timestamp::MIN),
            Phase::Unknown | Phase::Sent | Phase::Failed => None,
        }
    }

    fn next_step(&self, job: &Job<Delivery>) -> Option<(&'static str, ())> {
        let due = self.due_at(&job.state)?;
        (!job.reading.is_before(due)).then_some(("mail", ()))
    }

    async fn step(&self, job: &Job<Delivery>, (): ()) -> Result<(), StoreError> {
        // Another worker may have taken the lease, and with it the delivery.
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
    /// Composes the letter and sends it; the server's message comes back without addresses.
    async fn attempt(&self, id: Uuid, delivery: &Delivery) -> Result<u16, Obstacle> {
        let letter = self.composer.letter(id, delivery).await?;
        let clean = |reply: String| without_addresses(&reply, &letter.address, &letter.name);
        let span = tracing::info_span!(target: trace::EXPORTED, "smtp send", otel.kind = "client");
        self.mailer
            .send(&letter)
            .instrument(span)
            .await
            .map_err(|refusal| match refusal {
                Refusal::Address => Obstacle::Permanent(
                    Reason::AddressInvalid,
                    "the recipient's address is invalid".to_owned(),
                ),
                Refusal::Transient(reply) => Obstacle::Transient(clean(reply)),
                Refusal::Permanent(reply) => Obstacle::Permanent(Reason::Refused, clean(reply)),
            })
    }

    fn after(&self, id: Uuid, delivery: &Delivery, obstacle: Obstacle) -> Command {
        let attempt = delivery.attempts;
        let (reason, error) = match obstacle {
            Obstacle::Transient(error) if delivery.attempts_of_round < self.retry.max_attempts => {
                let pause = self.retry.pause(delivery.attempts_of_round, rand::random());
                tracing::warn!(delivery_id = %id, attempt, error, ?pause, "mail delayed");
                return Command::Delay {
                    attempt,
                    error,
                    next_try_at: Retry::after(self.jobs.clock().now(), pause),
                };
            }
            Obstacle::Transient(error) => (Reason::GaveUp, error),
            Obstacle::Permanent(reason, error) => (reason, error),
        };
        tracing::error!(delivery_id = %id, attempt, reason = reason.as_str(), error, "mail failed");
        Command::Fail {
            attempt,
            reason,
            error,
        }
    }
}

/// Counts an outcome for `/metrics`.
fn count(delivery: &Delivery, command: &Command) {
    let Some(mail) = &delivery.mail else { return };
    let outcome = match command {
        Command::RecordSent { .. } => "sent",
        Command::Delay { .. } => "delayed",
        Command::Fail { .. } => "failed",
        Command::Queue(_) | Command::StartSending | Command::Resend => return,
    };
    instruments().mail(mail.template.as_str(), outcome);
}
