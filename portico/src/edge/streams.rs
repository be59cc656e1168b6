//! How many event streams stay open. Each holds memory, and work of the services, for as long as its client likes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use portico_proto::{Error, Kind};
use portico_runtime::config::Connections;
use uuid::Uuid;

/// When to try again.
const AFTER: Duration = Duration::from_secs(5);

/// Open streams, counted by the user who watches, whichever session or API token opens them. Cheap to clone; clones count
/// together.
#[derive(Clone)]
pub(super) struct Streams {
    limits: Connections,
    open: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    users: HashMap<Uuid, usize>,
}

/// An open stream; counts until it is dropped.
pub(super) struct Open {
    user: Uuid,
    streams: Streams,
}

impl Streams {
    pub(super) fn new(limits: Connections) -> Self {
        Self {
            limits,
            open: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts another stream.
    ///
    /// # Errors
    /// Limited `too_many_streams`, unavailable `streams_exhausted`.
    pub(super) fn open(&self, user: Uuid) -> Result<Open, Error> {
        let mut open = self.lock();
        let (most, all) = (self.limits.streams_per_user, open.all);
        let count = open.users.entry(user).or_default();
        if *count >= most {
            let message = format!("{most} streams are open already; close one, then open another.");
            let error = Error::new(Kind::Limited, "too_many_streams", message);
            return Err(error.with_retry_after(AFTER));
        }
        if all >= self.limits.streams() {
            if *count == 0 {
                open.users.remove(&user);
            }
            let message =
                "The portal has as many event streams open as it can; try again in a moment.";
            let error = Error::unavailable("streams_exhausted", message);
            return Err(error.with_retry_after(AFTER));
        }
        *count += 1;
        open.all += 1;
        Ok(Open {
            user,
            streams: self.clone(),
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        open.all -= 1;
        if let Some(count) = open.users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                open.users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_runtime::Config;

    use super::*;

    #[test]
    fn all_users_together_have_so_many() {
        let limits = Connections {
            max: 3,
            streams_per_user: 2,
            ..Config::from_parts(None, [("", ""); 0]).unwrap().connections
        };
        let streams = Streams::new(limits);
        let code = |user| {
            streams
                .open(Uuid::from_u128(user))
                .err()
                .map(|error| error.code)
        };
        let open = [1, 1, 2].map(|user| streams.open(Uuid::from_u128(user)).ok().unwrap());
        assert_eq!(code(1).as_deref(), Some("too_many_streams"));
        assert_eq!(code(3).as_deref(), Some("streams_exhausted"));
        assert_eq!(streams.lock().users.len(), 2, "who has none is not kept");
        drop(open);
        assert_eq!(code(3), None);
        let open = streams.lock();
        assert_eq!((open.all, open.users.len()), (0, 0));
    }
}
