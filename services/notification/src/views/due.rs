//! What the worker has to send.

use std::time::Duration;

use jiff::Timestamp;
use portico_eventstore::{
    Database,
    clock::ClockReading,
    rows::ids,
    sqlx::{self, Row as _},
    worker::Due,
};

/// Up to `limit` deliveries that are due or being sent, the oldest first. The worker finds by their leases which of the
/// latter were left without an outcome by a process that crashed. A pause longer than `longest` was set by a clock that
/// ran ahead, and is ignored.
pub async fn due(
    database: &Database,
    now: Timestamp,
    longest: Duration,
    limit: i64,
) -> sqlx::Result<Due> {
    let now_ms = now.as_millisecond();
    let rows = sqlx::query(
        "SELECT id FROM deliveries \
         WHERE status = 'sending' OR (status = 'queued' AND (due_ms <= $1 OR due_ms > $2)) \
         ORDER BY due_ms, id LIMIT $3",
    )
    .bind(now_ms)
    .bind(ClockReading::latest_pause(now, longest).as_millisecond())
    .bind(limit)
    .fetch_all(database.pool())
    .await?;
    let next: Option<i64> =
        sqlx::query("SELECT MIN(due_ms) FROM deliveries WHERE status = 'queued' AND due_ms > $1")
            .bind(now_ms)
            .fetch_one(database.pool())
            .await?
            .try_get(0)?;
    Ok(Due {
        now: ids(&rows)?,
        next: next.and_then(|next| Timestamp::from_millisecond(next).ok()),
    })
}
