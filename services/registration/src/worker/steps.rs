//! Which step is next for a client, and what comes of it.

use jiff::Timestamp;
use portico_eventstore::worker::{Due, Jobs, Work};
use portico_eventstore::{Metadata, Outcome};

use super::{Job, WorkError, Worker};
use crate::oauth_client::{Command, DeletionCommand, FollowCommand, OauthClient, Step};
use crate::views::oauth_clients as view;

impl Work for Worker {
    type Of = OauthClient;
    type Step = Step;
    type Error = WorkError;
    const PARALLEL: usize = 32;

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
        let outcome = self.jobs.record(job, command).await?;
        if outcome.is_some() {
            self.count(job.state.identity_provider_id, command).await;
        }
        Ok(outcome)
    }
}
