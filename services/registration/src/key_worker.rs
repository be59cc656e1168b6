//! Does what is to be done for API keys: many requests at once, each by one worker at a time (see [`crate::work`]).
//!
//! - `drive`: one request's keys, step after step, until they wait for something
//! - `make`: the intent, the call, its answer into the vault, its outcome recorded; what is lost is looked for
//! - `take_away`: deletion, and what is tidied up after it
//! - `failure`: what comes of a failed try

mod drive;
mod failure;
mod make;
mod take_away;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use make::key_of;

use portico_eventstore::EventStore;
use portico_runtime::Deps;
use portico_vault::Vault;
use uuid::Uuid;

use crate::key_order::KeyOrder;
use crate::mapping::Mapper;
use crate::views::key_orders as view;
use crate::views::oauth_clients::Due;
use crate::work::{UnderWay, Work, WorkError};

/// The worker of one process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct KeyWorker {
    deps: Deps,
    store: EventStore,
    vault: Vault,
    mapper: Mapper,
    under_way: UnderWay,
}

impl KeyWorker {
    pub(crate) fn new(deps: &Deps, store: &EventStore, vault: &Vault, mapper: &Mapper) -> Self {
        Self {
            deps: deps.clone(),
            store: store.clone(),
            vault: vault.clone(),
            mapper: mapper.clone(),
            under_way: UnderWay::default(),
        }
    }
}

impl Work for KeyWorker {
    type Of = KeyOrder;
    const PARALLEL: usize = 16;

    fn deps(&self) -> &Deps {
        &self.deps
    }

    fn store(&self) -> &EventStore {
        &self.store
    }

    fn under_way(&self) -> &UnderWay {
        &self.under_way
    }

    async fn due(&self, limit: i64) -> Result<Due, WorkError> {
        let pool = self.store.database().pool();
        Ok(view::due(pool, self.deps.clock.now(), limit).await?)
    }

    async fn steps(&self, id: Uuid) -> Result<(), WorkError> {
        self.drive(id).await
    }
}
