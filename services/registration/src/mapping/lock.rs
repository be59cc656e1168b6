//! One piece of work at a time for each gateway: a definition is written as a whole,
//! so two that overlap would undo each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portico_eventstore::{Database, Lease};
use portico_runtime::Clock;
use uuid::Uuid;

use super::MappingFailure;

/// After this long without a sign of life, a process is taken for dead.
const TTL: Duration = Duration::from_secs(10);
/// How often a sign of life is given.
const SIGN: Duration = Duration::from_secs(3);
/// How often another process's lease is tried.
const TRY: Duration = Duration::from_millis(100);
/// How often it is tried before the work is left for later.
const TRIES: u32 = 300;

/// Among the clones of one mapper by a queue, and by a lease among all.
#[derive(Clone, Default)]
pub(super) struct Locks(Arc<Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>>);

impl Locks {
    /// Runs the work alone.
    pub(super) async fn alone<T>(
        &self,
        gateway: Uuid,
        lease: &LeaseOf<'_>,
        work: impl Future<Output = Result<T, MappingFailure>>,
    ) -> Result<T, MappingFailure> {
        let gate = self.gate(gateway);
        let _first = gate.lock().await;
        let held = lease.of(gateway);
        take(&held, lease.clock).await?;
        let done = tokio::select! {
            done = work => done,
            () = keep(&held, lease.clock) => Err(busy("another process took the gateway over")),
        };
        if let Err(error) = held.release().await {
            tracing::warn!(%gateway, %error, "the lease of a gateway was not given back");
        }
        done
    }

    fn gate(&self, gateway: Uuid) -> Arc<tokio::sync::Mutex<()>> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.entry(gateway).or_default().clone()
    }
}

/// What leases are made of.
pub(super) struct LeaseOf<'a> {
    pub(super) database: &'a Database,
    pub(super) owner: Uuid,
    pub(super) clock: &'a Clock,
}

impl LeaseOf<'_> {
    fn of(&self, gateway: Uuid) -> Lease {
        let name = format!("gateway-{gateway}");
        Lease::new(self.database.clone(), name, self.owner, TTL)
    }
}

async fn take(lease: &Lease, clock: &Clock) -> Result<(), MappingFailure> {
    for _ in 0..TRIES {
        if lease.take(clock.now()).await? {
            return Ok(());
        }
        clock.sleep(TRY).await;
    }
    Err(busy("other work at this gateway takes long"))
}

/// Returns when the lease is lost.
async fn keep(lease: &Lease, clock: &Clock) {
    loop {
        clock.sleep(SIGN).await;
        match lease.take(clock.now()).await {
            Ok(true) => {}
            Ok(false) => return,
            // It is ours until it runs out; the next try may find the database again.
            Err(error) => tracing::warn!(%error, "the lease of a gateway was not prolonged"),
        }
    }
}

fn busy(why: &str) -> MappingFailure {
    MappingFailure::retry("gateway_busy", why)
}
