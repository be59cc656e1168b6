//! Which step is next for a client, and what comes of it.

use std::sync::Arc;

use futures::FutureExt as _;
use jiff::Timestamp;
use portico_eventstore::worker::{Due, Jobs, Work};
use portico_eventstore::{Aggregate as _, Beside, Metadata, Outcome};
use portico_runtime::seal_in_append;
use portico_vault::Changes;

use super::{Job, WorkError, Worker};
use crate::identity_provider::IdentityProvider;
use crate::oauth_client::{Command, DeletionCommand, FollowCommand, OauthClient, Step};
use crate::views::oauth_clients as view;

impl Work for Worker {
    type Of = OauthClient;
    type Step = Step;
    type Error = WorkError;
    const PARALLEL: usize = 32;
    const FOLLOWS: &'static [&'static str] = &[IdentityProvider::CATEGORY];

    fn jobs(&self) -> &Jobs<OauthClient> {
        &self.jobs
    }

    async fn due(&self, now: Timestamp, limit: i64) -> Result<Due, WorkError> {
        let pool = self.store.database().pool();
        for id in view::resumable(pool, now).await? {
            let context = self.jobs.context(&Metadata::default());
            let command = Command::Follow(FollowCommand::Provider);
            let resumed = self.store.execute::<OauthClient>(id, &command, &context);
            if let Err(error) = resumed.await {
                tracing::warn!(oauth_client_id = %id, %error, "an OAuth client could not be resumed");
            }
        }
        Ok(self.jobs.due(&view::QUEUE, now, limit).await?)
    }

    fn due_at(&self, client: &OauthClient) -> Option<Timestamp> {
        client.due()
    }

    fn next_step(&self, job: &Job) -> Option<(&'static str, Step)> {
        let step = job.state.next_step(job.reading);
        let name = match &step {
            Step::Register(_) => "registration register",
            Step::Reconcile => "registration reconcile",
            Step::Update(_) => "registration update",
            Step::Rotate => "registration rotate",
            Step::Delete => "registration delete",
            Step::Notice { .. } => "registration notice",
            Step::Retire => "registration retire",
            Step::Forget => "registration forget",
            Step::Wait(_) | Step::Paused | Step::Idle => return None,
        };
        Some((name, step))
    }

    async fn step(&self, job: &Job, step: Step) -> Result<(), WorkError> {
        match step {
            Step::Register(wanted) => self.register(job, wanted).await,
            Step::Reconcile => self.reconcile(job).await,
            Step::Update(wanted) => self.update(job, wanted).await,
            Step::Rotate => self.rotate(job).await,
            Step::Delete => self.delete(job).await,
            Step::Notice { days_left } => self.notice(job, days_left).await,
            Step::Retire => self.retire(job).await,
            Step::Forget => {
                self.forget(job.id).await?;
                if job.state.application.erased {
                    // What an answer brought that came in between.
                    self.forget_texts(job.state.application_id).await?;
                }
                let command = Command::Deletion(DeletionCommand::ForgetSecrets);
                self.record(job, &command).await.map(drop)
            }
            Step::Wait(_) | Step::Paused | Step::Idle => Ok(()),
        }
    }
}

impl Worker {
    /// Records what came of a step. `None` where things have changed meanwhile.
    pub(super) async fn record(
        &self,
        job: &Job,
        command: &Command,
    ) -> Result<Option<Outcome<OauthClient>>, WorkError> {
        self.record_with(job, command, Changes::default()).await
    }

    /// As [`Worker::record`], with what changes in the vault by it, all or nothing.
    pub(super) async fn record_with(
        &self,
        job: &Job,
        command: &Command,
        changes: Changes,
    ) -> Result<Option<Outcome<OauthClient>>, WorkError> {
        let seals = changes.stores();
        let beside = self.beside(changes);
        let outcome = self.jobs.record_beside(job, command, beside).await?;
        if let Some(outcome) = &outcome {
            self.measure(job, command).await;
            self.forget_erased(&outcome.state, seals).await?;
        }
        Ok(outcome)
    }

    /// What changes in the vault, in the transaction of an append.
    pub(super) fn beside(&self, changes: Changes) -> Beside {
        let write = Arc::new((self.vault.clone(), changes));
        Beside::new(move |tx| {
            let write = Arc::clone(&write);
            async move { seal_in_append(tx, &write.0, &write.1).await }.boxed()
        })
    }

    /// Erases what was sealed with an append, where the application was erased while the provider was asked: whoever
    /// erased it did not see that yet.
    pub(super) async fn forget_erased(
        &self,
        now: &OauthClient,
        sealed: bool,
    ) -> Result<(), WorkError> {
        match sealed && now.application.erased {
            true => self.forget_texts(now.application_id).await,
            false => Ok(()),
        }
    }
}
