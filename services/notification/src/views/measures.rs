//! Gauges of the queue for `/metrics`.

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
    name: "portico_mail_queue",
    help: "Mails that are due now, wait for their next try, are being sent, or have failed.",
};
const AGE: Gauge = Gauge {
    name: "portico_mail_queue_oldest_age_seconds",
    help: "How long the mail that is due the longest has been so; 0 where there is none.",
};

/// Registers these gauges.
pub(crate) fn observe(deps: &Deps, database: &Database) {
    let (clock, database) = (deps.clock.clone(), database.clone());
    gauges::register("notification", &[QUEUE, AGE], move || {
        read(database.clone(), clock.now())
    });
}

async fn read(database: Database, now: Timestamp) -> Result<Vec<Reading>, sqlx::Error> {
    let pool = database.pool();
    let now = now.as_millisecond();
    let (due, oldest) = count(pool, "status = 'queued' AND due_ms <= $1", now).await?;
    let (waiting, _) = count(pool, "status = 'queued' AND due_ms > $1", now).await?;
    let (sending, _) = count(pool, "status = 'sending' AND $1 > 0", now).await?;
    let (failed, _) = count(pool, "status = 'failed' AND $1 > 0", now).await?;
    let state = |value, state| Reading::new(QUEUE, value).label("state", state);
    Ok(vec![
        state(due, "due"),
        state(waiting, "waiting"),
        state(sending, "sending"),
        state(failed, "failed"),
        Reading::seconds(AGE, oldest.map_or(0.0, |since| seconds(now - since))),
    ])
}

async fn count(
    pool: &AnyPool,
    which: &'static str,
    now: i64,
) -> Result<(i64, Option<i64>), sqlx::Error> {
    let statement = format!("SELECT COUNT(*), MIN(due_ms) FROM deliveries WHERE {which}");
    let row = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(now)
        .fetch_one(pool)
        .await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries")]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds.max(0) as f64 / 1000.0
}
