//! What waits here, for how long, and which identity providers take registrations.

use jiff::Timestamp;
use portico_eventstore::{
    Database,
    sqlx::{self, AnyPool, Row as _},
};
use portico_runtime::{
    Deps,
    metrics::gauges::{self, Gauge, Reading},
};

const CLIENTS: Queue = Queue {
    length: Gauge {
        name: "portico_registration_queue",
        help: "OAuth clients with work: due now, waiting for their next attempt, paused with their provider, or parked.",
    },
    oldest: Gauge {
        name: "portico_registration_queue_oldest_age_seconds",
        help: "How long the longest due, and the longest parked, OAuth client has been so; 0 where there is none.",
    },
    due: "SELECT COUNT(*), MIN(NULLIF(due_at_ms, 0)), MIN(CASE WHEN due_at_ms = 0 THEN updated_at END) \
          FROM oauth_clients WHERE due_at_ms IS NOT NULL AND due_at_ms <= $1",
    waiting: "SELECT COUNT(*), MIN(due_at_ms) FROM oauth_clients WHERE due_at_ms IS NOT NULL AND due_at_ms > $1",
    parked: "SELECT COUNT(*), MIN(parked_at_ms) FROM oauth_clients WHERE parked_at_ms IS NOT NULL AND $1 > 0",
};
const PROVIDERS: Gauge = Gauge {
    name: "portico_identity_providers",
    help: "Identity providers, by type and by whether they take registrations (active) or not (paused).",
};
const ORPHANS: Gauge = Gauge {
    name: "portico_orphans",
    help: "Clients that may exist at a provider and are not known here.",
};

/// The queue of a worker. A query for each number, so that each finds its own small index.
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
    let gauges = [CLIENTS.length, CLIENTS.oldest, PROVIDERS, ORPHANS];
    gauges::register("registration", &gauges, move || {
        read(database.clone(), clock.now())
    });
}

async fn read(database: Database, now: Timestamp) -> Result<Vec<Reading>, sqlx::Error> {
    let pool = database.pool();
    let now = now.as_millisecond();
    let mut readings = queue(pool, &CLIENTS, now).await?;
    let paused = "SELECT COUNT(*), MIN(due_at_ms) FROM oauth_clients WHERE paused = 1 AND $1 > 0";
    let (paused, _) = count(pool, paused, now).await?;
    readings.push(Reading::new(CLIENTS.length, paused).label("state", "paused"));
    let (orphans, _) = count(pool, "SELECT COUNT(*), MIN($1) FROM orphans", now).await?;
    readings.push(Reading::new(ORPHANS, orphans));
    readings.extend(providers(pool).await?);
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

async fn providers(pool: &AnyPool) -> Result<Vec<Reading>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT type, status, COUNT(*) FROM identity_providers WHERE status <> 'deleted' \
         GROUP BY type, status ORDER BY type, status",
    )
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            let provider_type: String = row.try_get(0)?;
            let status: String = row.try_get(1)?;
            Ok(Reading::new(PROVIDERS, row.try_get(2)?)
                .label("provider_type", provider_type)
                .label("status", status))
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries")]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds.max(0) as f64 / 1000.0
}
