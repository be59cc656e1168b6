//! What waits here, and for how long.

use jiff::Timestamp;
use portico_eventstore::{Database, sqlx};
use portico_runtime::{
    Deps,
    metrics::{
        gauges::{self, Gauge, Reading},
        queue::Queue,
    },
};

use super::held_scopes;

static ENTITLEMENTS: Queue = Queue {
    length: Gauge {
        name: "portico_entitlement_queue",
        help: "Access requests with work at gateways: due now, waiting for their next try, or parked.",
    },
    oldest: Gauge {
        name: "portico_entitlement_queue_oldest_age_seconds",
        help: "How long the longest due, and the longest parked, access request has been so; 0 where there is none.",
    },
    states: &[
        (
            "due",
            "SELECT COUNT(*), MIN(NULLIF(due_at_ms, 0)), MIN(CASE WHEN due_at_ms = 0 THEN updated_at END) \
             FROM entitlements WHERE due_at_ms IS NOT NULL AND due_at_ms <= $1",
        ),
        (
            "waiting",
            "SELECT COUNT(*) FROM entitlements WHERE due_at_ms IS NOT NULL AND due_at_ms > $1",
        ),
        (
            "parked",
            "SELECT COUNT(*), MIN(parked_at_ms) FROM entitlements WHERE parked_at_ms IS NOT NULL AND $1 > 0",
        ),
    ],
};
const HELD: Gauge = Gauge {
    name: "portico_held_scopes",
    help: "Products and plans that wait for a scope which clients may still hold from another one.",
};

/// Registers these gauges.
pub(crate) fn observe(deps: &Deps, database: &Database) {
    let (clock, database) = (deps.clock.clone(), database.clone());
    let told = [ENTITLEMENTS.length, ENTITLEMENTS.oldest, HELD];
    gauges::register("gateway", &told, move || {
        read(database.clone(), clock.now())
    });
}

async fn read(database: Database, now: Timestamp) -> Result<Vec<Reading>, sqlx::Error> {
    let pool = database.pool();
    let mut readings = ENTITLEMENTS.read(pool, now).await?;
    let held = held_scopes::count(pool).await?;
    readings.push(Reading::new(HELD, held));
    Ok(readings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::tests::world::World;

    #[tokio::test]
    async fn what_is_parked_is_counted() {
        let mut world = World::start_by(None).await;
        let request = world.approve_keys(&["elsewhere"]).await;
        let parked = world.until(request, "parked", |one| one.is_parked());
        assert_eq!(parked.await.status(), "failed");
        let database = world.store.database().clone();
        let clock = world.deps.clock.clone();
        let parked = async |length| {
            let readings = read(database.clone(), clock.now()).await.unwrap();
            let length = Reading::new(ENTITLEMENTS.length, length);
            readings.contains(&length.label("state", "parked"))
        };
        assert!(parked(1).await);
        world.revoke(request).await;
        world.until_reported(request, 2, "done").await;
        assert!(parked(0).await);
    }
}
