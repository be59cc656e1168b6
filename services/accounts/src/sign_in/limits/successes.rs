//! Successful sign-ins of network addresses, counted in memory. Who has an account could have passwords verified without end
//! otherwise, and each costs a core some 20 ms.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

/// By blind index of the address. Bounded by the window: each entry has cost a hash.
pub(super) struct Successes {
    limit: u32,
    window: Duration,
    counted: Mutex<HashMap<String, (u32, Timestamp)>>,
}

impl Successes {
    pub(super) fn new(limit: u32, window: Duration) -> Self {
        Self {
            limit,
            window,
            counted: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (u32, Timestamp)>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of the window, where the address has as many in it as it may.
    pub(super) fn over(&self, address: &str, now: Timestamp) -> Option<Timestamp> {
        let (count, until) = *self.lock().get(address)?;
        (count >= self.limit && until > now).then_some(until)
    }

    /// Adds one to the open window, or opens a new one.
    pub(super) fn count(&self, address: String, now: Timestamp) {
        let mut counted = self.lock();
        if let Some((count, until)) = counted.get_mut(&address)
            && *until > now
        {
            *count += 1;
            return;
        }
        counted.retain(|_, (_, until)| *until > now);
        let until = now.checked_add(self.window).unwrap_or(Timestamp::MAX);
        counted.insert(address, (1, until));
    }
}
