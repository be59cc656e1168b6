//! How many streams stay open. Each holds memory, and work of the services, for as long as its client likes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use portico_proto::{Error, Kind};
use uuid::Uuid;

/// Streams about health, which anybody may open: orchestrators have one each.
const HEALTH: usize = 64;
/// When to try again.
const AFTER: Duration = Duration::from_secs(5);

/// Open streams, counted by who watches. Cheap to clone; clones count together.
#[derive(Clone)]
pub(super) struct Streams {
    per_user: usize,
    open: Arc<Mutex<HashMap<Watcher, usize>>>,
}

/// Whose streams are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Watcher {
    /// A user, whichever session or API token opens it.
    User(Uuid),
    /// Everybody who watches the health of services.
    Health,
}

/// An open stream; counts until it is dropped.
pub(super) struct Open {
    watcher: Watcher,
    open: Arc<Mutex<HashMap<Watcher, usize>>>,
}

impl Streams {
    pub(super) fn new(per_user: usize) -> Self {
        Self {
            per_user,
            open: Arc::default(),
        }
    }

    /// Counts another stream.
    ///
    /// # Errors
    /// Limited `too_many_streams`.
    pub(super) fn open(&self, watcher: Watcher) -> Result<Open, Error> {
        let most = match watcher {
            Watcher::User(_) => self.per_user,
            Watcher::Health => HEALTH,
        };
        let mut all = lock(&self.open);
        let count = all.entry(watcher).or_default();
        if *count >= most {
            let message = format!("{most} streams are open already; close one, then open another.");
            let error = Error::new(Kind::Limited, "too_many_streams", message);
            return Err(error.with_retry_after(AFTER));
        }
        *count += 1;
        Ok(Open {
            watcher,
            open: Arc::clone(&self.open),
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut all = lock(&self.open);
        if let Some(count) = all.get_mut(&self.watcher) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.watcher);
            }
        }
    }
}

fn lock(open: &Mutex<HashMap<Watcher, usize>>) -> MutexGuard<'_, HashMap<Watcher, usize>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
