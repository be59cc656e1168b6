//! What comes of a failed try: a pause with back-off and jitter, or it is parked. What is to be taken away, and what
//! waits for another service, is never parked.

use std::time::Duration;

use portico_runtime::config::Retry;
use uuid::Uuid;

use super::mapper::MappingFailure;
use super::{Job, WorkError, Worker};
use crate::entitlement::{Command, Failing, Prospect, TryCommand};

/// The pause where nothing suggests that repeating helps.
const AGAIN: Duration = Duration::from_secs(60 * 60);

impl Worker {
    /// After a failed try. `undone`: the key whose attempt has an outcome by that.
    pub(super) async fn failed(
        &self,
        job: &Job,
        failure: MappingFailure,
        undone: Option<Uuid>,
    ) -> Result<(), WorkError> {
        let parks = job.state.is_wanted();
        self.record_failure(job, failure, undone, parks).await
    }

    /// After a failed try to take something away.
    pub(super) async fn left(&self, job: &Job, failure: MappingFailure) -> Result<(), WorkError> {
        self.record_failure(job, failure, None, false).await
    }

    async fn record_failure(
        &self,
        job: &Job,
        failure: MappingFailure,
        undone: Option<Uuid>,
        parks: bool,
    ) -> Result<(), WorkError> {
        let waits = failure.waits;
        let failures = job.state.tries(waits) + 1;
        let last = failures >= self.deps.config.retry.max_attempts;
        let hopeless = !waits && (!failure.retry || last);
        let failing = Failing {
            code: failure.code,
            reason: failure.reason,
            gateway_id: failure.gateway,
            undone,
            news: job.state.news,
        };
        tracing::warn!(request_id = %job.id, failures, code = failing.code,
            reason = failing.reason, hopeless, "a try failed");
        let command = if hopeless && parks {
            TryCommand::Refuse(failing)
        } else {
            let usual = self.deps.config.retry.pause(failures, rand::random());
            let asked = failure.retry_after.unwrap_or_default();
            let least = if hopeless { AGAIN } else { Duration::ZERO };
            TryCommand::Delay {
                failing,
                next_try_at: Retry::after(self.deps.clock.now(), usual.max(asked).max(least)),
                prospect: match (waits, hopeless) {
                    (true, _) => Prospect::Waits,
                    (false, true) => Prospect::Stuck,
                    (false, false) => Prospect::Usual,
                },
            }
        };
        self.record(job, &Command::Try(command)).await.map(drop)
    }
}
