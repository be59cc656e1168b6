//! Does what is to be done for OAuth clients: many at once, each by one worker at a time (see [`crate::work`]).
//!
//! - `drive`: one client, step after step, until it waits for something
//! - `registration`: steps 1 to 5 of the protocol; `change`: update, rotation, deletion
//! - `answer`: from the provider's answer to what is recorded, its secrets into the vault
//! - `drift`: a look at a client at its provider
//! - `expiry`: the end of secrets; `orphans`: clients that nobody uses
//! - `failure`: what comes of a failed try
//! - `measured`: outcomes, for `/metrics`

mod answer;
mod change;
mod drift;
mod drive;
mod expiry;
mod failure;
mod measured;
mod orphans;
mod registration;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use portico_eventstore::{EventStore, Metadata};
use portico_runtime::Deps;
use portico_vault::Vault;
use uuid::Uuid;

use crate::mapping::Mapper;
use crate::oauth_client::{Command, OauthClient};
use crate::views::oauth_clients as view;
use crate::work::{Mark, UnderWay, Work, WorkError};

pub(crate) use drift::Look;
pub(crate) use failure::{AGAIN, later, pause};
pub(crate) use orphans::{Act, Found};
pub(crate) use registration::random_secret;

/// The worker of one process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Worker {
    deps: Deps,
    store: EventStore,
    vault: Vault,
    mapper: Mapper,
    under_way: UnderWay,
    provider_types: Arc<Mutex<HashMap<Uuid, &'static str>>>,
}

impl Worker {
    pub(crate) fn new(deps: &Deps, store: &EventStore, vault: &Vault, mapper: &Mapper) -> Self {
        Self {
            deps: deps.clone(),
            store: store.clone(),
            vault: vault.clone(),
            mapper: mapper.clone(),
            under_way: UnderWay::default(),
            provider_types: Arc::default(),
        }
    }

    /// `None` where it is worked on already.
    pub(crate) fn begin(&self, id: Uuid) -> Option<Mark> {
        self.under_way.begin(id)
    }

    fn provider_types(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, &'static str>> {
        self.provider_types
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work for Worker {
    type Of = OauthClient;
    const PARALLEL: usize = 32;

    fn deps(&self) -> &Deps {
        &self.deps
    }

    fn store(&self) -> &EventStore {
        &self.store
    }

    fn under_way(&self) -> &UnderWay {
        &self.under_way
    }

    async fn due(&self, limit: i64) -> Result<view::Due, WorkError> {
        let pool = self.store.database().pool();
        for id in view::stuck(pool).await? {
            let context = self.context(&Metadata::default());
            let resumed = self
                .store
                .execute::<OauthClient>(id, &Command::Resume, &context);
            if let Err(error) = resumed.await {
                tracing::warn!(oauth_client_id = %id, %error, "an OAuth client could not be resumed");
            }
        }
        let now = self.deps.clock.now();
        let mut due = view::due(pool, now, limit).await?;
        due.now
            .extend(view::written_ahead(pool, now, self.deps.config.retry.max_delay).await?);
        Ok(due)
    }

    async fn steps(&self, id: Uuid) -> Result<(), WorkError> {
        self.drive(id).await
    }
}
