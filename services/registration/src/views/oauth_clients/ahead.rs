//! What was written by a clock that was ahead of the present one: its pauses were reckoned by that clock, and would
//! last until the present one shows the same time.

use std::time::Duration;

use jiff::Timestamp;
use portico_eventstore::clock::ClockReading;
use portico_eventstore::sqlx::{self, AnyPool, Row as _};
use uuid::Uuid;

/// Clients that wait longer than the longest usual pause, and that were last written by a clock that was ahead.
pub(crate) async fn written_ahead(
    pool: &AnyPool,
    now: Timestamp,
    longest: Duration,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let usual = ClockReading::latest_pause(now, longest);
    let rows = sqlx::query(
        "SELECT id FROM oauth_clients WHERE due_at_ms > $1 AND updated_at > $2 ORDER BY due_at_ms LIMIT 100",
    )
    .bind(usual.as_millisecond())
    .bind(ClockReading::latest(now).to_string())
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            let id: String = row.try_get("id")?;
            Uuid::parse_str(&id).map_err(|error| sqlx::Error::Decode(Box::new(error)))
        })
        .collect()
}
