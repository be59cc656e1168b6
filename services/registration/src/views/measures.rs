//! What waits here, for how long, and which identity providers take registrations.

use jiff::Timestamp;
use portico_eventstore::{
    Database,
    sqlx::{self, AnyPool, Row as _},
};
use portico_runtime::{
    Deps,
    metrics::{
        gauges::{self, Gauge, Reading},
        queue::Queue,
    },
};

static CLIENTS: Queue = Queue {
    length: Gauge {
        name: "portico_registration_queue",
        help: "OAuth clients with work: due now, waiting for their next attempt, paused with their provider, or parked.",
    },
    oldest: Gauge {
        name: "portico_registration_queue_oldest_age_seconds",
        help: "How long the longest due, and the longest parked, OAuth client has been so; 0 where there is none.",
    },
    states: &[
        (
            "due",
            "SELECT COUNT(*), MIN(NULLIF(due_at_ms, 0)), MIN(CASE WHEN due_at_ms = 0 THEN updated_at END) \
             FROM oauth_clients WHERE due_at_ms IS NOT NULL AND due_at_ms <= $1",
        ),
        (
            "waiting",
            "SELECT COUNT(*) FROM oauth_clients WHERE due_at_ms IS NOT NULL AND due_at_ms > $1",
        ),
        (
            "parked",
            "SELECT COUNT(*), MIN(parked_at_ms) FROM oauth_clients WHERE parked_at_ms IS NOT NULL AND $1 > 0",
        ),
        (
            "paused",
            "SELECT COUNT(*) FROM oauth_clients WHERE paused = 1 AND $1 > 0",
        ),
    ],
};
const PROVIDERS: Gauge = Gauge {
    name: "portico_identity_providers",
    help: "Identity providers, by type and by whether they take registrations (active) or not (paused).",
};
const ORPHANS: Gauge = Gauge {
    name: "portico_orphans",
    help: "Clients that may exist at a provider without being in use, and that nobody has resolved.",
};

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
    let mut readings = CLIENTS.read(pool, now).await?;
    let orphans = sqlx::query("SELECT COUNT(*) FROM orphans WHERE status = 'open'");
    let orphans = orphans.fetch_one(pool).await?.try_get(0)?;
    readings.push(Reading::new(ORPHANS, orphans));
    readings.extend(providers(pool).await?);
    Ok(readings)
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
