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

const QUEUE: Gauge = Gauge {
    name: "portico_registration_queue",
    help: "OAuth clients with work: due now, waiting for their next try, paused with their provider, or parked.",
};
const AGE: Gauge = Gauge {
    name: "portico_registration_queue_oldest_age_seconds",
    help: "How long the longest due, and the longest parked, OAuth client has been so; 0 where there is none.",
};
const PROVIDERS: Gauge = Gauge {
    name: "portico_identity_providers",
    help: "Identity providers, by type and by whether they take registrations (active) or not (paused).",
};
const ORPHANS: Gauge = Gauge {
    name: "portico_orphans",
    help: "Clients that may exist at a provider and are not known here.",
};

/// Has them told from now on.
pub(crate) fn observe(deps: &Deps, database: &Database) {
    let (clock, database) = (deps.clock.clone(), database.clone());
    gauges::register(
        "registration",
        &[QUEUE, AGE, PROVIDERS, ORPHANS],
        move || read(database.clone(), clock.now()),
    );
}

async fn read(database: Database, now: Timestamp) -> Result<Vec<Reading>, sqlx::Error> {
    let pool = database.pool();
    let now = now.as_millisecond();
    let age = |since: Option<i64>| since.map_or(0.0, |since| seconds(now - since));
    // A query each, so that each finds its own small index.
    let (due, oldest_due) = count(
        pool,
        "SELECT COUNT(*), MIN(due_at_ms) FROM oauth_clients WHERE due_at_ms IS NOT NULL AND due_at_ms <= $1",
        now,
    )
    .await?;
    let (waiting, _) = count(
        pool,
        "SELECT COUNT(*), MIN(due_at_ms) FROM oauth_clients WHERE due_at_ms IS NOT NULL AND due_at_ms > $1",
        now,
    )
    .await?;
    let (paused, _) = count(
        pool,
        "SELECT COUNT(*), MIN(due_at_ms) FROM oauth_clients WHERE held = 1 AND $1 > 0",
        now,
    )
    .await?;
    let (parked, oldest_parked) = count(
        pool,
        "SELECT COUNT(*), MIN(parked_at_ms) FROM oauth_clients WHERE parked_at_ms IS NOT NULL AND $1 > 0",
        now,
    )
    .await?;
    let state = |gauge, value, state| Reading::new(gauge, value).label("state", state);
    let mut readings = vec![
        state(QUEUE, due, "due"),
        state(QUEUE, waiting, "waiting"),
        state(QUEUE, paused, "paused"),
        state(QUEUE, parked, "parked"),
        Reading::seconds(AGE, age(oldest_due)).label("state", "due"),
        Reading::seconds(AGE, age(oldest_parked)).label("state", "parked"),
    ];
    let (orphans, _) = count(pool, "SELECT COUNT(*), MIN($1) FROM orphans", now).await?;
    readings.push(Reading::new(ORPHANS, orphans));
    readings.extend(providers(pool).await?);
    Ok(readings)
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
