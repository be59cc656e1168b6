//! Changes of a registered client: update, rotation of its secret, deletion. All of them may be repeated; what may
//! not get lost is the registration access token that an answer brings, so answers go through the spool too.

use portico_runtime::fault;

use super::answer::Recovered;
use super::drive::Job;
use super::failure::failing;
use super::{WorkError, Worker};
use crate::identity_provider::Access;
use crate::oauth_client::{Command, Failing, Live, OperationKind, Target, Wanted};
use crate::providers::{Disposition, Failure};
use crate::spool::AnswerSpool;

impl Worker {
    pub(super) async fn update(&self, job: &Job, wanted: Wanted) -> Result<(), WorkError> {
        let Some((access, live)) = self.manageable(job).await? else {
            return Ok(());
        };
        let Some(kind) = self.kind(job, &wanted, live.client_type_id).await? else {
            return Ok(());
        };
        if self
            .record(job, &Command::IntendUpdate { wanted, kind })
            .await?
            .is_none()
        {
            return Ok(());
        }
        let job = &self.job(job.id).await?;
        let Some(live) = job.client.live() else {
            return Ok(());
        };
        let Some((attempt, OperationKind::Update { client, .. })) = under_way(live) else {
            return Ok(());
        };
        let spool = AnswerSpool::new(&self.vault, job.id, attempt);
        let known = self.known(job, live).await?;
        match access
            .driver()
            .update(&access.session(&spool), &known, client)
            .await
        {
            Ok(registered) => self.done(job, live, &spool, registered).await,
            Err(failure) => self.not_changed(job, live, &access, &failure).await,
        }
    }

    pub(super) async fn rotate(&self, job: &Job) -> Result<(), WorkError> {
        let Some((access, live)) = self.manageable(job).await? else {
            return Ok(());
        };
        let Some((attempt, OperationKind::Rotate { secret_ref })) = under_way(live) else {
            return Ok(());
        };
        fault::point("rotating");
        let spool = AnswerSpool::new(&self.vault, job.id, attempt);
        let known = self.known(job, live).await?;
        let Some(chosen) = self.secret(job.id, Some(*secret_ref)).await? else {
            let failing = Failing {
                code: "secret_missing".into(),
                reason: "the chosen secret is not in the vault".into(),
                attempt_over: true,
            };
            return self.not_rotated(job, attempt, failing).await;
        };
        match access
            .driver()
            .rotate_secret(&access.session(&spool), &known, &chosen)
            .await
        {
            Ok(registered) => self.done(job, live, &spool, registered).await,
            Err(failure) => self.not_changed(job, live, &access, &failure).await,
        }
    }

    pub(super) async fn delete(&self, job: &Job) -> Result<(), WorkError> {
        let Some((access, _)) = self.manageable(job).await? else {
            return Ok(());
        };
        if self.record(job, &Command::IntendDelete).await?.is_none() {
            return Ok(());
        }
        let job = &self.job(job.id).await?;
        let Some(live) = job.client.live() else {
            return Ok(());
        };
        let spool = AnswerSpool::new(&self.vault, job.id, job.client.attempt);
        let known = self.known(job, live).await?;
        match access
            .driver()
            .delete(&access.session(&spool), &known)
            .await
        {
            Ok(_) => self.gone(job, live).await,
            Err(failure) => self.not_changed(job, live, &access, &failure).await,
        }
    }

    /// The provider and the client. `None` where something had to be recorded first.
    async fn manageable<'a>(&self, job: &'a Job) -> Result<Option<(Access, &'a Live)>, WorkError> {
        let Some(live) = job.client.live() else {
            return Ok(None);
        };
        let Some(provider) = self.provider(job).await? else {
            return Ok(None);
        };
        if self.recovered(job, live, &provider.access).await? != Recovered::Nothing {
            return Ok(None);
        }
        Ok(Some((provider.access, live)))
    }

    async fn done(
        &self,
        job: &Job,
        live: &Live,
        spool: &AnswerSpool,
        registered: crate::providers::RegisteredClient,
    ) -> Result<(), WorkError> {
        let command = self.completed(job, live, registered).await?;
        self.record(job, &command).await?;
        spool.clear().await?;
        self.forget_replaced(job, live).await
    }

    async fn gone(&self, job: &Job, live: &Live) -> Result<(), WorkError> {
        let command = Command::CompleteDelete {
            client_id: live.answer.client_id.clone(),
        };
        if self.record(job, &command).await?.is_some() {
            self.forget(job.id).await?;
        }
        Ok(())
    }

    async fn not_changed(
        &self,
        job: &Job,
        live: &Live,
        access: &Access,
        failure: &Failure,
    ) -> Result<(), WorkError> {
        // An answer may have brought a new token, although the change failed.
        if self.recovered(job, live, access).await? == Recovered::Outcome {
            return Ok(());
        }
        let repeat = failure.outcome_unknown || failure.disposition == Disposition::Retry;
        if failure.disposition == Disposition::Gone {
            tracing::warn!(oauth_client_id = %job.id, client_id = live.answer.client_id,
                "the client was deleted at the provider by somebody else");
            return self.gone(job, live).await;
        }
        let failing = failing(failure, !failure.outcome_unknown);
        if let Some((attempt, OperationKind::Rotate { .. })) = under_way(live) {
            let last = job
                .client
                .provider_delay
                .as_ref()
                .map_or(0, |delay| delay.attempts)
                + 1
                >= self.deps.config.retry.max_attempts;
            // Somebody waits for it, so only what may have happened is found out.
            if last || !failure.outcome_unknown {
                return self.not_rotated(job, attempt, failing).await;
            }
        }
        if repeat {
            self.delay(job, Target::Provider, failing, failure.retry_after)
                .await
        } else {
            self.refuse(job, Target::Provider, failing).await
        }
    }

    async fn not_rotated(
        &self,
        job: &Job,
        attempt: u32,
        failing: Failing,
    ) -> Result<(), WorkError> {
        self.record(job, &Command::RefuseRotation { attempt, failing })
            .await?;
        if let Some(live) = job.client.live()
            && let Some((_, OperationKind::Rotate { secret_ref })) = under_way(live)
        {
            self.vault.delete(secret_ref).await?;
        }
        Ok(())
    }
}

/// What was intended and has no outcome.
fn under_way(live: &Live) -> Option<(u32, &OperationKind)> {
    let operation = live.operation.as_ref()?;
    Some((operation.attempt, &operation.kind))
}
