//! Does what is to be done for API keys: many requests at once, each by one worker at a time, as the worker of OAuth
//! clients does.
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

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portico_eventstore::{Context, EventStore, Metadata};
use portico_runtime::Deps;
use portico_vault::Vault;
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::mapping::Mapper;
use crate::views::key_orders as view;
use crate::worker::WorkError;

/// Requests that are worked on at once.
const PARALLEL: usize = 16;
/// How often to look for what other replicas appended.
const POLL: Duration = Duration::from_secs(1);
/// The pause where our own database stopped the work, or another replica works on it.
const PAUSE: Duration = Duration::from_millis(500);

/// The worker of one process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct KeyWorker {
    deps: Deps,
    store: EventStore,
    vault: Vault,
    mapper: Mapper,
    running: Arc<Mutex<HashSet<Uuid>>>,
}

impl KeyWorker {
    pub(crate) fn new(deps: &Deps, store: &EventStore, vault: &Vault, mapper: &Mapper) -> Self {
        Self {
            deps: deps.clone(),
            store: store.clone(),
            vault: vault.clone(),
            mapper: mapper.clone(),
            running: Arc::default(),
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
            match self.due().await {
                Ok(due) => {
                    for id in due.now {
                        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                            break;
                        };
                        if !self.running().insert(id) {
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
                Err(error) => tracing::warn!(%error, "cannot look for API keys, trying again"),
            }
            tokio::select! {
                () = self.deps.shutdown.cancelled() => {}
                changed = head.changed() => if changed.is_err() { break },
                () = done.notified() => {}
                // Never 0: what is worked on already must not be asked for all the time.
                () = tokio::time::sleep(sleep.max(Duration::from_millis(5))) => {}
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn due(&self) -> Result<crate::views::oauth_clients::Due, WorkError> {
        let limit = i64::try_from(self.running().len() + PARALLEL).unwrap_or(i64::MAX);
        let pool = self.store.database().pool();
        Ok(view::due(pool, self.deps.clock.now(), limit).await?)
    }

    async fn work(&self, id: Uuid) {
        let pause = match self.drive(id).await {
            Ok(true) => false,
            // Another replica works on it.
            Ok(false) => true,
            Err(error) => {
                tracing::error!(request_id = %id, %error, "work on API keys stopped, trying again");
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

    fn running(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of what the worker does by itself; it follows what caused it.
    fn context(&self, cause: &Metadata) -> Context {
        Context {
            metadata: Metadata {
                actor: "service:registration".to_owned(),
                correlation: cause.correlation,
                causation: cause.causation,
                traceparent: cause.traceparent.clone(),
                tracestate: cause.tracestate.clone(),
                command_digest: None,
            },
            now: self.deps.clock.now(),
            command_id: self.deps.clock.new_id(),
        }
    }
}
