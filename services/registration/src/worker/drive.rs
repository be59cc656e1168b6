//! One client, step after step, until it waits for something.

use portico_eventstore::{ExecuteError, Metadata, Outcome, trace};
use tracing::Instrument as _;
use uuid::Uuid;

use super::work::Present;
use super::{Work as _, WorkError, Worker};
use crate::clock::ClockReading;
use crate::oauth_client::{Command, DeletionCommand, OauthClient, Step};

/// Steps until others get their turn.
const STEPS: usize = 100;

/// A client, and what caused its last event.
pub(super) struct Job {
    pub(super) id: Uuid,
    pub(super) client: OauthClient,
    pub(super) cause: Metadata,
    at: ClockReading,
}

impl Worker {
    /// Works on a client until it waits for something.
    pub(super) async fn drive(&self, id: Uuid) -> Result<(), WorkError> {
        for _ in 0..STEPS {
            if self.deps.shutdown.is_cancelled() {
                break;
            }
            let job = self.job(id).await?;
            let step = job.client.next_step(job.at);
            if matches!(step, Step::Wait(_) | Step::Paused | Step::Idle) {
                break;
            }
            self.traced(&job, name(&step), self.step(&job, step))
                .await?;
        }
        Ok(())
    }

    /// A step in the trace of what caused it, with the id of that request in every log line.
    async fn traced<T>(&self, job: &Job, step: &'static str, work: impl Future<Output = T>) -> T {
        let span = tracing::info_span!(
            target: trace::EXPORTED,
            "registration",
            otel.name = format_args!("registration {step}"),
            portico.oauth_client_id = %job.id,
            portico.attempt = job.client.attempt,
        );
        trace::follow(&span, job.cause.place().as_ref());
        // What the worker begins by itself has no request that caused it.
        let request_id = job
            .cause
            .correlation
            .unwrap_or_else(|| self.deps.clock.new_id());
        let lines = tracing::info_span!("registration", step, oauth_client_id = %job.id, %request_id,
            trace_id = trace::id(&span));
        let work = async {
            tracing::debug!(attempt = job.client.attempt, "next step");
            work.await
        };
        trace::correlated(request_id, work.instrument(lines).instrument(span)).await
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

    /// Loads a client.
    pub(super) async fn job(&self, id: Uuid) -> Result<Job, WorkError> {
        let present = Present::<OauthClient>::load(&self.store, id).await?;
        Ok(Job {
            id,
            at: present.clock_reading(&self.deps),
            client: present.state,
            cause: present.cause,
        })
    }

    /// Records what came of a step. `None` where things have changed meanwhile.
    pub(super) async fn record(
        &self,
        job: &Job,
        command: &Command,
    ) -> Result<Option<Outcome<OauthClient>>, WorkError> {
        let context = self.context(&job.cause);
        match self
            .store
            .execute::<OauthClient>(job.id, command, &context)
            .await
        {
            Ok(outcome) => {
                self.count(job.client.identity_provider_id, command).await;
                Ok(Some(outcome))
            }
            Err(ExecuteError::Rejected(rejection)) => {
                tracing::debug!(oauth_client_id = %job.id, %rejection, "the step was decided anew");
                Ok(None)
            }
            Err(ExecuteError::Store(error)) => Err(error.into()),
            Err(error) => Err(WorkError::Other(error.to_string())),
        }
    }
}

fn name(step: &Step) -> &'static str {
    match step {
        Step::Register(_) => "register",
        Step::Reconcile => "reconcile",
        Step::Update(_) => "update",
        Step::Rotate => "rotate",
        Step::Delete => "delete",
        Step::Notice { .. } => "notice",
        Step::Retire => "retire",
        Step::Forget => "forget",
        Step::Wait(_) => "wait",
        Step::Paused => "paused",
        Step::Idle => "idle",
    }
}
