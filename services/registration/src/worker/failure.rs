//! What comes of a failed try: a pause with back-off and jitter, or it is parked.

use std::time::Duration;

use jiff::Timestamp;
use portico_runtime::config::Retry;

use super::drive::Job;
use super::{WorkError, Worker};
use crate::mapping::MappingFailure;
use crate::oauth_client::{Command, Failing, Target};
use crate::providers::Failure;
use crate::work::Work as _;

/// The pause of what is never given up: a revocation that was refused.
pub(crate) const AGAIN: Duration = Duration::from_secs(60 * 60);

impl Worker {
    /// After a try that may be repeated: a pause, and after the last one it is parked.
    pub(super) async fn delay(
        &self,
        job: &Job,
        target: Target,
        failing: Failing,
        retry_after: Option<Duration>,
    ) -> Result<(), WorkError> {
        let attempts = self.attempts(job, target);
        tracing::warn!(oauth_client_id = %job.id, ?target, attempts = attempts + 1, code = failing.code,
            reason = failing.reason, "a try failed");
        if attempts + 1 >= self.deps.config.retry.max_attempts {
            return self.refuse(job, target, failing).await;
        }
        let next_try_at = self.next_try(job, target, retry_after);
        let command = Command::Delay {
            target,
            failing,
            next_try_at,
        };
        self.record(job, &command).await?;
        Ok(())
    }

    /// Trying again changes nothing: parked until something changes or an admin retries.
    pub(super) async fn refuse(
        &self,
        job: &Job,
        target: Target,
        failing: Failing,
    ) -> Result<(), WorkError> {
        tracing::warn!(oauth_client_id = %job.id, ?target, code = failing.code, reason = failing.reason,
            "refused, parked until something changes");
        let command = match target {
            Target::Provider => Command::Refuse {
                failing,
                again_at: self.again_at(),
                at: self.deps.clock.now(),
            },
            Target::Gateway => Command::RefuseMapping {
                gateway_ids: job.client.unmapped.keys().cloned().collect(),
                revision: job.client.revision,
                failing,
                again_at: self.again_at(),
                at: self.deps.clock.now(),
            },
        };
        self.record(job, &command).await?;
        Ok(())
    }

    /// When what is to be taken away, and was refused, is tried again.
    pub(super) fn again_at(&self) -> Timestamp {
        later(self.deps.clock.now(), AGAIN)
    }

    fn next_try(&self, job: &Job, target: Target, retry_after: Option<Duration>) -> Timestamp {
        let pause = pause(
            &self.deps.config.retry,
            self.attempts(job, target),
            rand::random(),
        );
        later(
            self.deps.clock.now(),
            pause.max(retry_after.unwrap_or_default()),
        )
    }

    /// Writes gateways.
    pub(super) async fn map(
        &self,
        job: &Job,
        gateway_ids: Vec<String>,
        revision: u64,
    ) -> Result<(), WorkError> {
        let requests: Vec<_> = job.client.mapping_requests().collect();
        let context = self.context(&job.cause);
        match self
            .mapper
            .synchronise(&gateway_ids, &requests, &context)
            .await
        {
            Ok(mapped) => {
                let command = Command::CompleteMapping {
                    gateway_ids,
                    revision,
                    skipped: mapped.skipped.is_some(),
                };
                self.record(job, &command).await?;
                Ok(())
            }
            Err(MappingFailure {
                retry,
                code,
                reason,
                retry_after,
            }) => {
                let failing = Failing {
                    code,
                    reason,
                    attempt_over: false,
                };
                if retry {
                    self.delay(job, Target::Gateway, failing, retry_after).await
                } else {
                    self.refuse(job, Target::Gateway, failing).await
                }
            }
        }
    }

    fn attempts(&self, job: &Job, target: Target) -> u32 {
        let delay = match target {
            Target::Provider => &job.client.provider_delay,
            Target::Gateway => &job.client.gateway_delay,
        };
        delay.as_ref().map_or(0, |delay| delay.attempts)
    }
}

/// The words of a failure.
pub(super) fn failing(failure: &Failure, attempt_over: bool) -> Failing {
    Failing {
        code: failure.code.clone(),
        reason: failure.description.clone(),
        attempt_over,
    }
}

/// The first pause doubled with each failed try, at most the longest; less up to half of it, so that many clients
/// do not come back at once.
pub(crate) fn pause(retry: &Retry, attempts: u32, jitter: f64) -> Duration {
    let doubled = retry
        .first_delay
        .saturating_mul(2_u32.saturating_pow(attempts.min(30)));
    doubled
        .min(retry.max_delay)
        .mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}

/// In whole milliseconds, as views keep it, and not earlier.
pub(crate) fn later(now: Timestamp, pause: Duration) -> Timestamp {
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
