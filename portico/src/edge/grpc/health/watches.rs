//! Who watches the health of services. Anybody may, so that whoever comes last is served: orchestrators must not be kept
//! out by those who came first.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use portico_proto::{Error, Kind};
use portico_runtime::address::household;
use tokio_util::sync::CancellationToken;

/// One address has a place in so many.
const SHARE: usize = 4;
/// When to try again.
const AFTER: Duration = Duration::from_secs(5);

/// Open watches, the oldest first.
pub(super) struct Watches {
    most: usize,
    open: Mutex<VecDeque<(Option<IpAddr>, CancellationToken)>>,
}

/// Counts until it is dropped.
pub(super) struct Watch {
    watches: Arc<Watches>,
    /// Cancelled when a newer one takes its place, and when it is dropped.
    pub(super) displaced: CancellationToken,
}

impl Watches {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            open: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Option<IpAddr>, CancellationToken)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another watch; the oldest ends where there are as many as there may be.
    ///
    /// # Errors
    /// Limited `too_many_streams`, for an address that has its share.
    pub(super) fn open(this: &Arc<Self>, address: Option<IpAddr>) -> Result<Watch, Error> {
        let address = address.map(household);
        let mut open = this.lock();
        let share = this.most.div_ceil(SHARE);
        if open.iter().filter(|(other, _)| *other == address).count() >= share {
            let message =
                format!("{share} streams are open already; close one, then open another.");
            let error = Error::new(Kind::Limited, "too_many_streams", message);
            return Err(error.with_retry_after(AFTER));
        }
        if open.len() >= this.most
            && let Some((_, oldest)) = open.pop_front()
        {
            oldest.cancel();
        }
        let displaced = CancellationToken::new();
        open.push_back((address, displaced.clone()));
        Ok(Watch {
            watches: Arc::clone(this),
            displaced,
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.displaced.cancel();
        self.watches.lock().retain(|(_, open)| !open.is_cancelled());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_the_oldest_gives_way() {
        let watches = Arc::new(Watches::new(8));
        let open = |last: u8| Watches::open(&watches, Some([192, 0, 2, last].into()));
        let held: Vec<_> = [1, 1, 2, 2, 3, 3, 4, 4]
            .map(|last| open(last).ok().unwrap())
            .into();
        assert_eq!(open(1).err().unwrap().code, "too_many_streams");
        let newest = open(5).ok().unwrap();
        let displaced = held.iter().filter(|watch| watch.displaced.is_cancelled());
        assert_eq!(displaced.count(), 1);
        assert!(held[0].displaced.is_cancelled() && !newest.displaced.is_cancelled());
        drop(held);
        assert_eq!(watches.lock().len(), 1);
        drop(newest);
        assert!(watches.lock().is_empty());
    }
}
