//! One request's keys, step after step, until they wait for something.

use portico_eventstore::{ExecuteError, Metadata, Outcome, trace};
use tracing::Instrument as _;
use uuid::Uuid;

use super::KeyWorker;
use crate::key_order::{Command, KeyOrder, Step};
use crate::moment::Moment;
use crate::work::{Present, Work as _, WorkError};

/// Steps until others get their turn.
const STEPS: usize = 100;

/// The keys of a request, and what caused their last event.
pub(super) struct Job {
    pub(super) id: Uuid,
    pub(super) order: KeyOrder,
    pub(super) cause: Metadata,
    at: Moment,
}

impl KeyWorker {
    /// Works on the keys of a request until they wait for something.
    pub(super) async fn drive(&self, id: Uuid) -> Result<(), WorkError> {
        for _ in 0..STEPS {
            if self.deps.shutdown.is_cancelled() {
                break;
            }
            let job = self.job(id).await?;
            let step = job.order.next_step(job.at);
            if matches!(step, Step::Wait(_) | Step::Idle) {
                break;
            }
            self.traced(&job, step).await?;
        }
        Ok(())
    }

    /// A step in the trace of what caused it, with the id of that request in every log line.
    async fn traced(&self, job: &Job, step: Step) -> Result<(), WorkError> {
        let step_name = name(&step);
        let span = tracing::info_span!(
            target: trace::EXPORTED,
            "api_key",
            otel.name = format_args!("api key {step_name}"),
            portico.request_id = %job.id,
        );
        trace::follow(&span, job.cause.place().as_ref());
        let request_id = job
            .cause
            .correlation
            .unwrap_or_else(|| self.deps.clock.new_id());
        let lines = tracing::info_span!("api_key", step = step_name, access_request_id = %job.id, %request_id,
            trace_id = trace::id(&span));
        let work = async {
            tracing::debug!("next step");
            self.step(job, step).await
        };
        trace::correlated(request_id, work.instrument(lines).instrument(span)).await
    }

    async fn step(&self, job: &Job, step: Step) -> Result<(), WorkError> {
        match step {
            Step::Place => self.place(job).await,
            Step::Make(key) => self.make(job, key).await,
            Step::Look(key) => self.look(job, key).await,
            Step::DeleteOld(key) => self.delete(job, key, true).await,
            Step::Delete(key) => self.delete(job, key, false).await,
            Step::Wipe(key) => self.wipe(job, key).await,
            Step::WritePolicies => self.write_policies(job).await,
            Step::Announce => self.record(job, &Command::Announce).await.map(drop),
            Step::Finish => self.finish(job).await,
            Step::Wait(_) | Step::Idle => Ok(()),
        }
    }

    async fn job(&self, id: Uuid) -> Result<Job, WorkError> {
        let present = Present::<KeyOrder>::load(&self.store, id).await?;
        Ok(Job {
            id,
            at: present.moment(&self.deps),
            order: present.state,
            cause: present.cause,
        })
    }

    /// Records what came of a step. `None` where things have changed meanwhile.
    pub(super) async fn record(
        &self,
        job: &Job,
        command: &Command,
    ) -> Result<Option<Outcome<KeyOrder>>, WorkError> {
        let context = self.context(&job.cause);
        match self
            .store
            .execute::<KeyOrder>(job.id, command, &context)
            .await
        {
            Ok(outcome) => Ok(Some(outcome)),
            Err(ExecuteError::Rejected(rejection)) => {
                tracing::debug!(request_id = %job.id, %rejection, "the step was decided anew");
                Ok(None)
            }
            Err(ExecuteError::Store(error)) => Err(error.into()),
            Err(error) => Err(WorkError::Other(error.to_string())),
        }
    }
}

fn name(step: &Step) -> &'static str {
    match step {
        Step::Place => "place",
        Step::Make(_) => "make",
        Step::Look(_) => "look",
        Step::DeleteOld(_) | Step::Delete(_) => "delete",
        Step::Wipe(_) => "wipe",
        Step::WritePolicies => "write_policies",
        Step::Announce => "announce",
        Step::Finish => "finish",
        Step::Wait(_) => "wait",
        Step::Idle => "idle",
    }
}
