//! What comes of a failed try: a pause with back-off and jitter, or it is parked. Taking away is never parked.

use std::time::Duration;

use uuid::Uuid;

use super::KeyWorker;
use super::drive::Job;
use crate::key_order::{Command, Failing};
use crate::mapping::MappingFailure;
use crate::work::WorkError;
use crate::worker::{AGAIN, later, pause};

impl KeyWorker {
    /// After a try to make something. `undone`: the key whose attempt has an outcome by that.
    pub(super) async fn failed(
        &self,
        job: &Job,
        failure: MappingFailure,
        gateway_id: Option<Uuid>,
        undone: Option<Uuid>,
    ) -> Result<(), WorkError> {
        let failing = failing(&failure, gateway_id, undone);
        if self.is_hopeless(job, &failure) && job.order.is_wanted() {
            tracing::warn!(request_id = %job.id, code = failing.code, reason = failing.reason,
                "refused, parked until something changes");
            return self.record(job, &Command::Refuse(failing)).await.map(drop);
        }
        self.again(job, &failure, failing).await
    }

    /// After a try to take something away.
    pub(super) async fn left(
        &self,
        job: &Job,
        failure: MappingFailure,
        gateway_id: Uuid,
    ) -> Result<(), WorkError> {
        let failing = failing(&failure, Some(gateway_id), None);
        self.again(job, &failure, failing).await
    }

    fn is_hopeless(&self, job: &Job, failure: &MappingFailure) -> bool {
        !failure.retry || attempts(job) + 1 >= self.deps.config.retry.max_attempts
    }

    async fn again(
        &self,
        job: &Job,
        failure: &MappingFailure,
        failing: Failing,
    ) -> Result<(), WorkError> {
        let attempts = attempts(job);
        tracing::warn!(request_id = %job.id, attempts = attempts + 1, code = failure.code,
            reason = failure.reason, "a try failed");
        let usual = pause(&self.deps.config.retry, attempts, rand::random());
        let asked = failure.retry_after.unwrap_or_default();
        let least = if self.is_hopeless(job, failure) {
            AGAIN
        } else {
            Duration::ZERO
        };
        let command = Command::Delay {
            failing,
            next_try_at: later(self.deps.clock.now(), usual.max(asked).max(least)),
        };
        self.record(job, &command).await.map(drop)
    }
}

fn attempts(job: &Job) -> u32 {
    job.order.delay.as_ref().map_or(0, |delay| delay.attempts)
}

fn failing(failure: &MappingFailure, gateway_id: Option<Uuid>, undone: Option<Uuid>) -> Failing {
    Failing {
        code: failure.code.clone(),
        reason: failure.reason.clone(),
        gateway_id,
        undone,
    }
}
