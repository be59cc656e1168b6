//! What comes of a failed attempt: a pause with back-off and jitter, or it is parked.

use std::time::Duration;

use jiff::Timestamp;
use portico_runtime::config::Retry;

use super::{Job, WorkError, Worker};
use crate::oauth_client::{Command, FailedAttempt, FailureCommand, Problem};
use crate::providers::Failure;

/// The pause of what is never given up: a revocation that was refused.
pub(super) const AGAIN: Duration = Duration::from_secs(60 * 60);

impl Worker {
    /// After an attempt that may be repeated: a pause, and after the last one it is parked.
    pub(super) async fn delay(
        &self,
        job: &Job,
        failed: FailedAttempt,
        retry_after: Option<Duration>,
    ) -> Result<(), WorkError> {
        let attempts = job.state.delay.as_ref().map_or(0, |delay| delay.attempts);
        let Problem { code, reason } = &failed.problem;
        tracing::warn!(oauth_client_id = %job.id, attempts = attempts + 1, code, reason, "an attempt failed");
        let retry = &self.deps.config.retry;
        if attempts + 1 >= retry.max_attempts {
            return self.refuse(job, failed).await;
        }
        let pause = retry.pause(attempts + 1, rand::random());
        let pause = pause.max(retry_after.unwrap_or_default());
        let next_try_at = Retry::after(self.deps.clock.now(), pause);
        let command = FailureCommand::Delay {
            failed,
            next_try_at,
            counted: true,
        };
        self.record(job, &Command::Failure(command)).await.map(drop)
    }

    /// Trying again changes nothing: parked until something changes or an admin retries.
    pub(super) async fn refuse(&self, job: &Job, failed: FailedAttempt) -> Result<(), WorkError> {
        let Problem { code, reason } = &failed.problem;
        tracing::warn!(oauth_client_id = %job.id, code, reason, "refused, parked until something changes");
        let command = FailureCommand::Refuse {
            failed,
            again_at: self.again_at(),
            at: self.deps.clock.now(),
            tried: Some(job.state.tried()),
        };
        self.record(job, &Command::Failure(command)).await.map(drop)
    }

    /// When what is to be taken away, and was refused, is tried again.
    pub(super) fn again_at(&self) -> Timestamp {
        Retry::after(self.deps.clock.now(), AGAIN)
    }
}

/// What is recorded of a failure.
pub(super) fn problem(failure: &Failure) -> Problem {
    Problem {
        code: failure.code.clone(),
        reason: failure.description.clone(),
    }
}

/// `attempt_over`: nothing came of the attempt.
pub(super) fn failed(failure: &Failure, attempt_over: bool) -> FailedAttempt {
    FailedAttempt {
        problem: problem(failure),
        attempt_over,
    }
}

/// A failure that no provider tells of: nothing was attempted.
pub(super) fn lacking(code: &str, reason: &str) -> FailedAttempt {
    FailedAttempt {
        problem: Problem {
            code: code.to_owned(),
            reason: reason.to_owned(),
        },
        attempt_over: true,
    }
}
