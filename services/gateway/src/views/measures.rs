//! What waits here, and for how long.

use jiff::Timestamp;
use portico_eventstore::{
    Database,
    sqlx::{self, AnyPool, Row as _},
};
use portico_runtime::{
    Deps,
    metrics::gauges::{self, Gauge, Reading},
};

use super::held_scopes;

const ENTITLEMENTS: Queue = Queue {
    length: Gauge {
        name: "portico_entitlement_queue",
        help: "Access requests with work at gateways: due now, waiting for their next try, or parked.",
    },
    oldest: Gauge {
        name: "portico_entitlement_queue_oldest_age_seconds",
        help: "How long the longest due, and the longest parked, access request has been so; 0 where there is none.",
    },
    due: "SELECT COUNT(*), MIN(NULLIF(due_at_ms, 0)), MIN(CASE WHEN due_at_ms = 0 THEN updated_at END) \
          FROM entitlements WHERE due_at_ms IS NOT NULL AND due_at_ms <= $1",
    waiting: "SELECT COUNT(*), MIN(due_at_ms) FROM entitlements WHERE due_at_ms IS NOT NULL AND due_at_ms > $1",
    parked: "SELECT COUNT(*), MIN(parked_at_ms) FROM entitlements WHERE parked_at_ms IS NOT NULL AND $1 > 0",
};
const HELD: Gauge = Gauge {
    name: "portico_held_scopes",
    help: "Products and plans that wait for a scope which clients may still hold from another one.",
};

/// A queue of a worker. A query for each number, so that each finds its own small index.
struct Queue {
    length: Gauge,
    oldest: Gauge,
    /// Counts, and says since when: of those that waited for a time, and of those that are due since they changed.
    due: &'static str,
    waiting: &'static str,
    parked: &'static str,
}

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
    let mut readings = queue(pool, &ENTITLEMENTS, now.as_millisecond()).await?;
    let held = held_scopes::count(pool).await?;
    readings.push(Reading::new(HELD, held));
    Ok(readings)
}

async fn queue(pool: &AnyPool, queue: &Queue, now: i64) -> Result<Vec<Reading>, sqlx::Error> {
    let age = |since: Option<i64>| since.map_or(0.0, |since| seconds(now - since));
    let (due, oldest_due) = due(pool, queue.due, now).await?;
    let (waiting, _) = count(pool, queue.waiting, now).await?;
    let (parked, oldest_parked) = count(pool, queue.parked, now).await?;
    let length = |value, state| Reading::new(queue.length, value).label("state", state);
    let oldest = |since, state| Reading::seconds(queue.oldest, age(since)).label("state", state);
    Ok(vec![
        length(due, "due"),
        length(waiting, "waiting"),
        length(parked, "parked"),
        oldest(oldest_due, "due"),
        oldest(oldest_parked, "parked"),
    ])
}

async fn due(
    pool: &AnyPool,
    statement: &'static str,
    now: i64,
) -> Result<(i64, Option<i64>), sqlx::Error> {
    let row = sqlx::query(statement).bind(now).fetch_one(pool).await?;
    let waited: Option<i64> = row.try_get(1)?;
    let changed: Option<String> = row.try_get(2)?;
    let changed = changed.and_then(|at| at.parse::<Timestamp>().ok());
    let changed = changed.map(Timestamp::as_millisecond);
    Ok((row.try_get(0)?, waited.into_iter().chain(changed).min()))
}

async fn count(
    pool: &AnyPool,
    statement: &'static str,
    now: i64,
) -> Result<(i64, Option<i64>), sqlx::Error> {
    let row = sqlx::query(statement).bind(now).fetch_one(pool).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries")]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds.max(0) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::tests::world::World;

    /// Work that is due at once has no time of its own to count from, so its age is that of its last change.
    #[tokio::test]
    async fn what_is_due_or_parked_is_counted_with_its_age() {
        let mut world = World::start_by(None).await;
        let before = world.deps.clock.now().as_millisecond();
        let request = world.approve_keys(&["elsewhere"]).await;
        let parked = world.until(request, "parked", |one| one.is_parked());
        assert_eq!(parked.await.status(), "failed");
        let pool = world.store.database().pool().clone();
        let now = world.deps.clock.now().as_millisecond();
        let (length, since) = count(&pool, ENTITLEMENTS.parked, now).await.unwrap();
        assert_eq!(length, 1);
        assert!((before..=now).contains(&since.unwrap()), "{since:?}");
        assert_eq!(due(&pool, ENTITLEMENTS.due, now).await.unwrap(), (0, None));
        world.revoke(request).await;
        world.until_reported(request, 2, "done").await;
        let parked = count(&pool, ENTITLEMENTS.parked, now).await.unwrap();
        assert_eq!(parked, (0, None));

        let waiting = world.deps.clock.new_id();
        sqlx::query(
            "INSERT INTO entitlements (request_id, application_id, status, due_at_ms, state, version, created_at, \
             updated_at) VALUES ($1, '', 'working', 0, '{}', 1, $2, $2)",
        )
        .bind(waiting.to_string())
        .bind(world.deps.clock.now().to_string())
        .execute(&pool)
        .await
        .unwrap();
        let now = world.deps.clock.now().as_millisecond();
        let (_, since) = due(&pool, ENTITLEMENTS.due, now).await.unwrap();
        assert!((before..=now).contains(&since.unwrap()), "{since:?}");
    }
}
