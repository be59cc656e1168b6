//! Does what is to be done for OAuth clients: many at once, each by one worker at a time (see [`work`]).
//!
//! - `drive`: one client, step after step, until it waits for something
//! - `registration`: steps 1 to 5 of the protocol; `change`: update, rotation, deletion
//! - `answer`: from the provider's answer to what is recorded, its secrets into the vault; `spool`: answers of
//!   providers, kept before they are understood
//! - `drift`: compares a client with its provider; `orphans`: clients that nobody uses
//! - `expiry`: the end of secrets; `failure`: what comes of a failed attempt
//! - `conformance`: what a provider can do, found out with a client that is registered for the check
//! - `key_watch`: whether providers sign with other keys
//! - `measured`: outcomes, for `/metrics`

mod answer;
mod change;
mod conformance;
mod drift;
mod drive;
mod expiry;
mod failure;
mod key_watch;
mod measured;
mod orphans;
mod registration;
mod spool;
#[cfg(test)]
pub(crate) mod tests;
mod work;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use portico_eventstore::{EventStore, Metadata};
use portico_runtime::Deps;
use portico_vault::Vault;
use uuid::Uuid;

use crate::oauth_client::{Command, FollowCommand, OauthClient};
use crate::views::oauth_clients as view;
use work::{Mark, UnderWay};

pub(crate) use conformance::Check;
pub(crate) use drift::DriftResult;
pub(crate) use orphans::{ClaimedClient, OrphanAction};
pub(crate) use registration::random_secret;
pub(crate) use work::{Work, WorkError};

/// The worker of one process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Worker {
    deps: Deps,
    store: EventStore,
    vault: Vault,
    under_way: UnderWay,
    provider_types: Arc<Mutex<HashMap<Uuid, &'static str>>>,
}

impl Worker {
    pub(crate) fn new(deps: &Deps, store: &EventStore, vault: &Vault) -> Self {
        Self {
            deps: deps.clone(),
            store: store.clone(),
            vault: vault.clone(),
            under_way: UnderWay::default(),
            provider_types: Arc::default(),
        }
    }

    /// `None` where it is worked on already.
    fn begin(&self, id: Uuid) -> Option<Mark> {
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
        for id in view::resumable(pool).await? {
            let context = self.context(&Metadata::default());
            let command = Command::Follow(FollowCommand::Provider);
            let resumed = self.store.execute::<OauthClient>(id, &command, &context);
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
