//! Places for connections of one listener, in all and from one address.
//!
//! A connection too many takes the place of one that waits, first of those that have not sent a whole head for a while:
//! whoever means well has sent a request by then. So half-open connections keep nobody out, not even from the same address. Where all
//! are at work it gets one of a few places apart, where it is told so, and where probes are answered.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ipnet::IpNet;
use portico_runtime::{
    address::household,
    config::Connections,
    metrics::{Refused, instruments},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Waiting};

/// Places apart, for connections that are refused.
pub(super) const APART: usize = 64;
/// So long a head may take before those that wait for another request go first. Newcomers would take each other's place
/// otherwise, before any has finished its handshake.
const HEAD: Duration = Duration::from_secs(2);
/// A warning about full places is logged once in this time.
const WARN: Duration = Duration::from_mins(1);

/// Shared by the connections of a listener.
#[derive(Debug)]
pub(super) struct Places {
    limits: Connections,
    proxies: Vec<IpNet>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    served: usize,
    /// By address, in the order in which they came.
    addresses: HashMap<IpAddr, BTreeMap<u64, Holder>>,
    apart: BTreeMap<u64, CancellationToken>,
    warned: Option<Instant>,
}

#[derive(Debug)]
struct Holder {
    activity: Activity,
    evicted: CancellationToken,
}

/// Why a connection is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// Its address has as many as it may.
    Address,
    /// The listener has.
    All,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
    /// The address, where it has limits of its own: that of a proxy is everybody's.
    pub(super) limited: Option<IpAddr>,
    number: u64,
    /// Cancelled when another connection takes the place.
    pub(super) evicted: CancellationToken,
    /// Why it is not served, where it is one apart.
    pub(super) refused: Option<Full>,
}

impl Places {
    pub(super) fn new(limits: Connections, proxies: Vec<IpNet>) -> Self {
        Self {
            limits,
            proxies,
            held: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from this address.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr, activity: &Activity) -> Place {
        let proxy = self
            .proxies
            .iter()
            .any(|net| net.contains(&address.to_canonical()));
        let address = household(address);
        let evicted = CancellationToken::new();
        let mut held = self.lock();
        held.next += 1;
        let number = held.next;
        let refused = self.make_room(&mut held, address, proxy).err();
        match refused {
            None => {
                let holder = Holder {
                    activity: activity.clone(),
                    evicted: evicted.clone(),
                };
                held.served += 1;
                held.addresses
                    .entry(address)
                    .or_default()
                    .insert(number, holder);
            }
            Some(_) => {
                if held.apart.len() >= APART
                    && let Some((_, oldest)) = held.apart.pop_first()
                {
                    oldest.cancel();
                }
                held.apart.insert(number, evicted.clone());
            }
        }
        Place {
            places: Arc::clone(self),
            address,
            limited: (!proxy).then_some(address),
            number,
            evicted,
            refused,
        }
    }

    /// Evicts one that waits where there is no room for another.
    fn make_room(&self, held: &mut Held, address: IpAddr, proxy: bool) -> Result<(), Full> {
        let of_address = held.addresses.get(&address).map_or(0, BTreeMap::len);
        if !proxy && of_address >= self.limits.max_per_address {
            return self.evict(held, Some(address), Full::Address);
        }
        if held.served >= self.limits.max {
            return self.evict(held, None, Full::All);
        }
        Ok(())
    }

    /// Of all, or of one address.
    fn evict(&self, held: &mut Held, of: Option<IpAddr>, full: Full) -> Result<(), Full> {
        let refused = match full {
            Full::Address => Refused::Address,
            Full::All => Refused::All,
        };
        self.warn(held, full);
        let Some((address, number)) = held.longest_waiting(of) else {
            instruments().connection_refused(refused);
            return Err(full);
        };
        instruments().connection_refused(Refused::Replaced);
        if let Some(holder) = held.remove(address, number) {
            holder.evicted.cancel();
        }
        Ok(())
    }

    fn warn(&self, held: &mut Held, full: Full) {
        if held.warned.is_some_and(|at| at.elapsed() < WARN) {
            return;
        }
        held.warned = Some(Instant::now());
        let Connections {
            max,
            max_per_address,
            ..
        } = self.limits;
        match full {
            Full::Address => tracing::warn!(
                max_per_address,
                "an address has as many connections as `connections.max_per_address` lets it; \
                 a proxy belongs into `http.trusted_proxies`"
            ),
            Full::All => tracing::warn!(
                max,
                "all places for connections are taken (`connections.max`)"
            ),
        }
    }
}

impl Held {
    /// Slow heads, then pauses, then heads that have just begun; of these the one that has waited longest.
    fn longest_waiting(&self, of: Option<IpAddr>) -> Option<(IpAddr, u64)> {
        let all = self
            .addresses
            .iter()
            .filter(|(address, _)| of.is_none_or(|of| of == **address))
            .flat_map(|(address, holders)| holders.iter().map(move |held| (*address, held)));
        let waiting = all.filter_map(|(address, (number, holder))| {
            let (what, since) = holder.activity.waiting()?;
            let rank = match what {
                Waiting::Head if since.elapsed() >= HEAD => 0,
                Waiting::Request => 1,
                Waiting::Head => 2,
            };
            Some((rank, since, *number, address))
        });
        let (_, _, number, address): (u8, Instant, u64, IpAddr) = waiting.min()?;
        Some((address, number))
    }

    fn remove(&mut self, address: IpAddr, number: u64) -> Option<Holder> {
        let holders = self.addresses.get_mut(&address)?;
        let holder = holders.remove(&number)?;
        if holders.is_empty() {
            self.addresses.remove(&address);
        }
        self.served -= 1;
        Some(holder)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.lock();
        match self.refused {
            // Nothing is left of it where it was evicted.
            None => drop(held.remove(self.address, self.number)),
            Some(_) => drop(held.apart.remove(&self.number)),
        }
    }
}
