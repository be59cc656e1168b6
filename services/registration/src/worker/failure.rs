//! What comes of a failed attempt: a pause with back-off and jitter, or it is parked.

use std::time::Duration;

use jiff::Timestamp;
use portico_runtime::config::Retry;

use super::drive::Job;
use super::{WorkError, Worker};
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
        let attempts = job.client.delay.as_ref().map_or(0, |delay| delay.attempts);
        let Problem { code, reason } = &failed.problem;
        tracing::warn!(oauth_client_id = %job.id, attempts = attempts + 1, code, reason, "an attempt failed");
        let retry = &self.deps.config.retry;
        if attempts + 1 >= retry.max_attempts {
            return self.refuse(job, failed).await;
        }
        let pause = pause(retry, attempts, rand::random());
        let next_try_at = later(
            self.deps.clock.now(),
            pause.max(retry_after.unwrap_or_default()),
        );
        let command = FailureCommand::Delay {
            failed,
            next_try_at,
        };
        self.record(job, &Command::Failure(command)).await?;
        Ok(())
    }

    /// Trying again changes nothing: parked until something changes or an admin retries.
    pub(super) async fn refuse(&self, job: &Job, failed: FailedAttempt) -> Result<(), WorkError> {
        let Problem { code, reason } = &failed.problem;
        tracing::warn!(oauth_client_id = %job.id, code, reason, "refused, parked until something changes");
        let command = FailureCommand::Refuse {
            failed,
            again_at: self.again_at(),
            at: self.deps.clock.now(),
        };
        self.record(job, &Command::Failure(command)).await?;
        Ok(())
    }

    /// When what is to be taken away, and was refused, is tried again.
    pub(super) fn again_at(&self) -> Timestamp {
        later(self.deps.clock.now(), AGAIN)
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

/// The first pause doubled with each failed attempt, at most the longest; less up to half of it, so that many clients
/// do not come back at once.
pub(super) fn pause(retry: &Retry, attempts: u32, jitter: f64) -> Duration {
    let doubled = retry
        .first_delay
        .saturating_mul(2_u32.saturating_pow(attempts.min(30)));
    doubled
        .min(retry.max_delay)
        .mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}

/// In whole milliseconds, as views keep it, and not earlier.
pub(super) fn later(now: Timestamp, pause: Duration) -> Timestamp {
    let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX / 2);
    Timestamp::from_millisecond(now.as_millisecond().saturating_add(pause).saturating_add(1))
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread() {
        let retry = Retry {
            first_delay: Duration::from_secs(2),
            max_delay: Duration::from_secs(60),
            max_attempts: 20,
        };
        let pauses: Vec<u64> = (0..7).map(|n| pause(&retry, n, 0.0).as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause(&retry, 0, 1.0), Duration::from_secs(1));
        assert_eq!(pause(&retry, u32::MAX, 0.5), Duration::from_secs(45));
    }

    #[test]
    fn the_next_try_is_never_before_the_pause_is_over() {
        let now: Timestamp = "2026-01-01T00:00:00.0005Z".parse().unwrap();
        assert!(later(now, Duration::ZERO) > now);
        assert_eq!(later(now, Duration::MAX), Timestamp::MAX);
    }
}
