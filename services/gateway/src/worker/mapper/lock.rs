//! One piece of work at a time for each gateway: a definition is written as a whole, so two that overlap would undo
//! each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portico_eventstore::{Database, Lease};
use portico_runtime::Clock;
use uuid::Uuid;

use super::MappingFailure;

/// How long another process's lease is waited for before the work is left for later.
const PATIENCE: Duration = Duration::from_secs(30);

/// Among the clones of one mapper by a queue, which is fairer, and by a lease among all.
#[derive(Clone, Default)]
pub(super) struct Locks(Arc<Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>>);

impl Locks {
    /// Runs the work alone. `owner` has the leases of these locks.
    pub(super) async fn alone<T>(
        &self,
        gateway: Uuid,
        (database, owner, clock): (&Database, Uuid, &Clock),
        work: impl Future<Output = Result<T, MappingFailure>>,
    ) -> Result<T, MappingFailure> {
        let gate = self.gate(gateway);
        let _first = gate.lock().await;
        let name = format!("gateway-{gateway}");
        let lease = Lease::new(database.clone(), name, owner, Lease::TTL);
        let Some(held) = lease.acquire_within(clock, PATIENCE).await? else {
            return Err(busy("other work at this gateway takes long"));
        };
        match held.run(work).await {
            Ok(done) => done,
            Err(_) => Err(busy("another process took the gateway over")),
        }
    }

    fn gate(&self, gateway: Uuid) -> Arc<tokio::sync::Mutex<()>> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.entry(gateway).or_default().clone()
    }
}

fn busy(why: &str) -> MappingFailure {
    MappingFailure::retry("gateway_busy", why)
}
