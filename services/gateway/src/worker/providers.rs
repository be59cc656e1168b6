//! Gateways follow when an identity provider serves other keys, has them at another address, or names its scopes in
//! another claim. A gateway keeps what it fetched for some minutes, in which it would refuse every token that a new key
//! signed.

use jiff::Timestamp;
use portico_eventstore::EventStore;
use portico_eventstore::worker::{Due, Job, Jobs, Work};
use portico_runtime::Deps;
use portico_runtime::config::Retry;

use super::WorkError;
use super::mapper::Mapper;
use crate::known::{KnownProvider, ProviderCommand};
use crate::views::{gateways, providers as view};

/// The worker of one process.
pub(crate) struct ProviderWorker {
    retry: Retry,
    mapper: Mapper,
    jobs: Jobs<KnownProvider>,
}

impl ProviderWorker {
    pub(crate) fn new(deps: &Deps, store: &EventStore, mapper: &Mapper) -> Self {
        Self {
            retry: deps.config.retry,
            mapper: mapper.clone(),
            jobs: deps.jobs(store),
        }
    }
}

impl Work for ProviderWorker {
    type Of = KnownProvider;
    type Step = ();
    type Error = WorkError;
    const PARALLEL: usize = 4;

    fn jobs(&self) -> &Jobs<KnownProvider> {
        &self.jobs
    }

    async fn due(&self, now: Timestamp, limit: i64) -> Result<Due, WorkError> {
        Ok(self.jobs.due(&view::QUEUE, now, limit).await?)
    }

    fn due_at(&self, provider: &KnownProvider) -> Option<Timestamp> {
        provider.due()
    }

    fn next_step(&self, job: &Job<KnownProvider>) -> Option<(&'static str, ())> {
        let due = job.state.due()?;
        (!job.reading.is_before(due)).then_some(("identity_provider follow", ()))
    }

    /// Tells every gateway that lets tokens of the provider through. Where one cannot be told, all are told again.
    async fn step(&self, job: &Job<KnownProvider>, (): ()) -> Result<(), WorkError> {
        let context = self.jobs.context(&job.cause);
        let pool = self.jobs.store().database().pool();
        let mut command = ProviderCommand::CompleteFollow {
            asked: job.state.asked,
        };
        for gateway in gateways::of_provider(pool, job.id).await? {
            let told = Box::pin(self.mapper.follow_provider(gateway, job.id, &context)).await;
            if let Err(failure) = told {
                tracing::warn!(%gateway, provider = %job.id, %failure,
                    "a gateway does not know the keys of an identity provider yet, trying again");
                let pause = self.retry.pause(job.state.attempts + 1, rand::random());
                command = ProviderCommand::Delay {
                    next_try_at: Retry::after(self.jobs.clock().now(), pause),
                };
            }
        }
        self.jobs.record(job, &command).await?;
        Ok(())
    }
}
