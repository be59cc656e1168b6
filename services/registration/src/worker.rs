//! Does what is to be done for OAuth clients: many at once, each by one worker at a time (see
//! [`portico_eventstore::worker`]).
//!
//! - `steps`: which step is next for a client, and its outcome
//! - `registration`: steps 1 to 5 of the protocol, and in it `reconcile`: attempts without an outcome
//! - `change`: update, rotation, deletion
//! - `answer`: from the provider's answer to what is recorded, its secrets into the vault; `spool`: answers of
//!   providers, kept before they are understood
//! - `texts`: what people wrote of applications, asked for, and what providers repeat of it
//! - `drift`: compares a client with its provider; `orphans`: clients that nobody uses; `unknown`: those that a
//!   provider has and nobody knows
//! - `usable`: whether a client can get a token at all
//! - `expiry`: notices before a secret expires; `failure`: what comes of a failed attempt
//! - `conformance`: what a provider can do, found out with a client that is registered for the check
//! - `key_watch`: whether providers sign with other keys; `document`: whether their endpoints have moved
//! - `measured`: outcomes, for `/metrics`

mod answer;
mod change;
mod conformance;
mod document;
mod drift;
mod expiry;
mod failure;
mod key_watch;
mod measured;
mod orphans;
mod registration;
mod spool;
mod steps;
#[cfg(test)]
pub(crate) mod tests;
mod texts;
mod unknown;
mod usable;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use portico_eventstore::EventStore;
use portico_eventstore::worker::{self, Jobs};
use portico_runtime::{Deps, WorkError};
use portico_vault::Vault;
use uuid::Uuid;

use crate::oauth_client::OauthClient;

pub(crate) use conformance::Check;
pub(crate) use drift::{DriftResult, Edited};
pub(crate) use orphans::{ClaimedClient, OrphanAction, refused};
pub(crate) use registration::random_secret;

/// A client to be worked on, and what caused its last event.
type Job = worker::Job<OauthClient>;

/// The worker of one process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Worker {
    deps: Deps,
    store: EventStore,
    vault: Vault,
    jobs: Jobs<OauthClient>,
    provider_types: Arc<Mutex<HashMap<Uuid, &'static str>>>,
    documents: document::Documents,
}

impl Worker {
    pub(crate) fn new(deps: &Deps, store: &EventStore, vault: &Vault) -> Self {
        Self {
            deps: deps.clone(),
            store: store.clone(),
            vault: vault.clone(),
            jobs: deps.jobs(store),
            provider_types: Arc::default(),
            documents: Arc::default(),
        }
    }

    fn provider_types(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, &'static str>> {
        self.provider_types
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
