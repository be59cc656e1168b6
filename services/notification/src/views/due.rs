//! What the worker has to send.

use std::collections::HashSet;

use portico_eventstore::{Database, sqlx, sqlx::Row as _};
use uuid::Uuid;

/// A delivery to be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Of the delivery.
    pub id: Uuid,
    /// The worker begins an attempt only at this version, so two replicas cannot both begin it.
    pub version: u64,
}

/// Up to `limit` deliveries to send now, the oldest first: those that are due, and those that a crashed process was
/// sending, which are `sending` without being in `busy`, what this process is sending. A due time after `latest_ms` was
/// written by a clock that was ahead and counts as due.
pub async fn due(
    database: &Database,
    now_ms: i64,
    latest_ms: i64,
    busy: &HashSet<Uuid>,
    limit: usize,
) -> Result<Vec<Due>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, version FROM deliveries \
         WHERE status = 'sending' OR (status = 'queued' AND (due_ms <= $1 OR due_ms > $2)) \
         ORDER BY due_ms, id LIMIT $3",
    )
    .bind(now_ms)
    .bind(latest_ms)
    .bind((limit + busy.len()) as i64)
    .fetch_all(database.pool())
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let id: String = row.try_get(0)?;
        let id = Uuid::parse_str(&id).map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
        if !busy.contains(&id) {
            let version: i64 = row.try_get(1)?;
            found.push(Due {
                id,
                version: version.unsigned_abs(),
            });
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// When the next waiting delivery is due, in milliseconds since 1970.
pub async fn next_due_ms(database: &Database, now_ms: i64) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query("SELECT MIN(due_ms) FROM deliveries WHERE status = 'queued' AND due_ms > $1")
        .bind(now_ms)
        .fetch_one(database.pool())
        .await?
        .try_get(0)
}
