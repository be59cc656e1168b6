//! Does what is to be done for entitlements: many requests at once, each by one worker at a time.
//!
//! - this file: which requests are due, the next step of one, and its outcome recorded
//! - `keys`: the intent, the call, its answer into the vault, its outcome recorded; what is lost is looked for
//! - `take_away`: keys deleted, and what is tidied up after them
//! - `failure`: what comes of a failed try
//! - [`mapper`]: writes gateways
//! - `providers`: gateways follow the keys and addresses of identity providers

mod failure;
mod keys;
pub(crate) mod mapper;
mod providers;
mod take_away;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use keys::key_of;
pub(crate) use providers::ProviderWorker;

use jiff::Timestamp;
use portico_eventstore::sqlx::AnyPool;
use portico_eventstore::worker::{Due, Jobs, Work};
use portico_eventstore::{Aggregate as _, EventStore, Metadata, Outcome, worker};
use portico_runtime::metrics::instruments;
use portico_runtime::{Deps, WorkError};
use portico_vault::Vault;

use crate::entitlement::{
    AccessCommand, Command, Entitlement, KeyCommand, MappingCommand, Step, TryCommand,
};
use crate::gateway::Gateway;
use crate::views::entitlements as view;
use mapper::Mapper;

/// One request's entitlement to be worked on.
type Job = worker::Job<Entitlement>;

/// The worker of one process.
pub(crate) struct Worker {
    deps: Deps,
    vault: Vault,
    mapper: Mapper,
    jobs: Jobs<Entitlement>,
}

impl Worker {
    pub(crate) fn new(deps: &Deps, store: &EventStore, vault: &Vault, mapper: &Mapper) -> Self {
        Self {
            deps: deps.clone(),
            vault: vault.clone(),
            mapper: mapper.clone(),
            jobs: deps.jobs(store),
        }
    }

    /// Writes gateways.
    async fn map(&self, job: &Job, asked: u64) -> Result<(), WorkError> {
        let named = job.state.gateways_to_write();
        let context = self.jobs.context(&job.cause);
        match self.mapper.synchronise(named, job.id, &context).await {
            Ok(mapped) => {
                let nothing = mapped.nothing;
                let command = MappingCommand::Complete { asked, nothing };
                self.record(job, &Command::Mapping(command)).await.map(drop)
            }
            Err(failure) => self.failed(job, failure, None).await,
        }
    }

    /// Has requests tried again that no gateway could serve, once there is one: whoever added it may not come to tell
    /// them.
    async fn find_gateways(&self, pool: &AnyPool) -> Result<(), WorkError> {
        for id in view::servable(pool).await? {
            let context = self.jobs.context(&Metadata::default());
            let command = Command::Access(AccessCommand::FindGateway);
            let found = self
                .jobs
                .store()
                .execute::<Entitlement>(id, &command, &context);
            if let Err(error) = found.await {
                tracing::warn!(request_id = %id, %error, "a request was not told of the new gateway");
            }
        }
        Ok(())
    }

    /// Records what came of a step. `None` where things have changed meanwhile.
    async fn record(
        &self,
        job: &Job,
        command: &Command,
    ) -> Result<Option<Outcome<Entitlement>>, WorkError> {
        let outcome = self.jobs.record(job, command).await?;
        if outcome.is_some() {
            measure(job, command);
        }
        Ok(outcome)
    }
}

impl Work for Worker {
    type Of = Entitlement;
    type Step = Step;
    type Error = WorkError;
    const PARALLEL: usize = 32;
    const FOLLOWS: &'static [&'static str] = &[Gateway::CATEGORY];

    fn jobs(&self) -> &Jobs<Entitlement> {
        &self.jobs
    }

    async fn due(&self, now: Timestamp, limit: i64) -> Result<Due, WorkError> {
        self.find_gateways(self.jobs.store().database().pool())
            .await?;
        Ok(self.jobs.due(&view::QUEUE, now, limit).await?)
    }

    fn due_at(&self, entitlement: &Entitlement) -> Option<Timestamp> {
        entitlement.due()
    }

    fn next_step(&self, job: &Job) -> Option<(&'static str, Step)> {
        let step = job.state.next_step(job.reading);
        Some((name(&step)?, step))
    }

    async fn step(&self, job: &Job, step: Step) -> Result<(), WorkError> {
        match step {
            Step::Map { asked } => self.map(job, asked).await,
            Step::Place => self.place(job).await,
            Step::Make(key) => self.make(job, key).await,
            Step::Look(key) => self.look(job, key).await,
            Step::DeleteOld(key) => self.delete(job, key, true).await,
            Step::Delete(key) => self.delete(job, key, false).await,
            Step::Wipe(key) => self.wipe(job, key).await,
            Step::WritePolicies => self.write_policies(job).await,
            Step::Finish => self.finish(job).await,
            Step::Wait(_) | Step::Idle => Ok(()),
        }
    }
}

/// For the log and `/metrics`.
fn measure(job: &Job, command: &Command) {
    let outcome = match command {
        Command::Mapping(MappingCommand::Complete { .. })
        | Command::Key(KeyCommand::Complete { .. } | KeyCommand::CompleteDelete { .. }) => {
            "succeeded"
        }
        Command::Try(TryCommand::Delay { .. }) => "delayed",
        Command::Try(TryCommand::Refuse(_)) => "failed",
        Command::Access(_) | Command::Scopes(_) | Command::Key(_) => return,
    };
    let credential = match job.state.gives_keys() {
        true => "api_key",
        false => "oauth_client",
    };
    tracing::info!(request_id = %job.id, credential, outcome, "access at the gateways: {credential} {outcome}");
    instruments().entitlement(credential, outcome);
}

/// For traces; none: nothing is done.
fn name(step: &Step) -> Option<&'static str> {
    Some(match step {
        Step::Map { .. } => "entitlement map",
        Step::Place => "entitlement place",
        Step::Make(_) => "entitlement make",
        Step::Look(_) => "entitlement look",
        Step::DeleteOld(_) | Step::Delete(_) => "entitlement delete",
        Step::Wipe(_) => "entitlement wipe",
        Step::WritePolicies => "entitlement write_policies",
        Step::Finish => "entitlement finish",
        Step::Wait(_) | Step::Idle => return None,
    })
}
