//! Does what is to be done for OAuth clients: many at once, each by one worker at a time.
//!
//! It wakes when something is appended here, when a pause is over, and every second, to find what other replicas
//! appended. A lease for each client keeps replicas apart; the intents and expected versions keep the data right
//! even where a lease is lost.
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

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portico_eventstore::{Context, EventStore, Metadata, StoreError, sqlx};
use portico_runtime::Deps;
use portico_vault::{Vault, VaultError};
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::mapping::Mapper;
use crate::oauth_client::{Command, OauthClient};
use crate::views::oauth_clients as view;

pub(crate) use drift::Look;
pub(crate) use failure::{AGAIN, later, pause};
pub(crate) use orphans::{Act, Found};
pub(crate) use registration::random_secret;

/// Clients that are worked on at once.
const PARALLEL: usize = 32;
/// How often to look for what other replicas appended.
const POLL: Duration = Duration::from_secs(1);
/// The pause of a client whose work our own database stopped, or that another replica works on.
const PAUSE: Duration = Duration::from_millis(500);

/// The worker of one process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Worker {
    deps: Deps,
    store: EventStore,
    vault: Vault,
    mapper: Mapper,
    running: Arc<Mutex<HashSet<Uuid>>>,
    provider_types: Arc<Mutex<HashMap<Uuid, &'static str>>>,
}

/// Why work stopped; nothing of it is the provider's fault, and it is taken up again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("query: {0}")]
    Query(#[from] sqlx::Error),
    #[error("{0}")]
    Other(String),
}

impl Worker {
    pub(crate) fn new(deps: &Deps, store: &EventStore, vault: &Vault, mapper: &Mapper) -> Self {
        Self {
            deps: deps.clone(),
            store: store.clone(),
            vault: vault.clone(),
            mapper: mapper.clone(),
            running: Arc::default(),
            provider_types: Arc::default(),
        }
    }

    /// Runs until shutdown; then finishes the steps it has begun.
    pub(crate) async fn run(self) {
        let permits = Arc::new(Semaphore::new(PARALLEL));
        let done = Arc::new(Notify::new());
        let tasks = TaskTracker::new();
        let mut head = self.store.head();
        while !self.deps.shutdown.is_cancelled() {
            // Marks the head as seen before looking, so that no append between is slept over.
            head.borrow_and_update();
            let mut sleep = POLL;
            match self.look().await {
                Ok(due) => {
                    for id in due.now {
                        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                            break;
                        };
                        if !self.begin(id) {
                            continue;
                        }
                        let (this, done) = (self.clone(), Arc::clone(&done));
                        tasks.spawn(async move {
                            this.work(id).await;
                            drop(permit);
                            done.notify_one();
                        });
                    }
                    sleep = due.next.map_or(POLL, |next| {
                        let left = self.deps.clock.now().duration_until(next);
                        Duration::try_from(left).unwrap_or_default().min(POLL)
                    });
                }
                Err(error) => tracing::warn!(%error, "cannot look for work, trying again"),
            }
            tokio::select! {
                () = self.deps.shutdown.cancelled() => {}
                changed = head.changed() => if changed.is_err() { break },
                () = done.notified() => {}
                // Never 0: a due client that is worked on already must not be asked for all the time.
                () = tokio::time::sleep(sleep.max(Duration::from_millis(5))) => {}
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn look(&self) -> Result<view::Due, WorkError> {
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
        let running = self.running().len();
        let limit = i64::try_from(running + PARALLEL).unwrap_or(i64::MAX);
        let now = self.deps.clock.now();
        let mut due = view::due(pool, now, limit).await?;
        due.now
            .extend(view::written_ahead(pool, now, self.deps.config.retry.max_delay).await?);
        Ok(due)
    }

    async fn work(&self, id: Uuid) {
        let pause = match self.drive(id).await {
            Ok(true) => false,
            // Another replica works on it.
            Ok(false) => true,
            Err(error) => {
                tracing::error!(oauth_client_id = %id, %error, "work on an OAuth client stopped, trying again");
                true
            }
        };
        if pause {
            tokio::select! {
                () = self.deps.shutdown.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        self.running().remove(&id);
    }

    /// False where it is worked on already.
    pub(crate) fn begin(&self, id: Uuid) -> bool {
        self.running().insert(id)
    }

    /// What [`Worker::begin`] began.
    pub(crate) fn end(&self, id: Uuid) {
        self.running().remove(&id);
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashSet<Uuid>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn provider_types(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, &'static str>> {
        self.provider_types
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Of what the worker does by itself; it follows what caused it.
    fn context(&self, cause: &Metadata) -> Context {
        Context {
            metadata: Metadata {
                actor: "service:registration".to_owned(),
                command_digest: None,
                ..cause.clone()
            },
            now: self.deps.clock.now(),
            command_id: self.deps.clock.new_id(),
        }
    }
}
