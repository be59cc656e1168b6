//! What was written by a clock that was ahead of the present one: its pauses were reckoned by that clock, and would
//! last until the present one shows the same time.

use std::time::Duration;

use jiff::Timestamp;
use portico_eventstore::Aggregate as _;
use portico_eventstore::clock::ClockReading;
use portico_eventstore::sqlx::{self, AnyPool, Row as _};
use uuid::Uuid;

use crate::oauth_client::OauthClient;

/// Clients that wait longer than the longest usual pause, and of which something was written by a clock that was
/// ahead.
pub(crate) async fn written_ahead(
    pool: &AnyPool,
    now: Timestamp,
    longest: Duration,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let usual = ClockReading::latest_pause(now, longest);
    let rows = sqlx::query(
        "SELECT id FROM oauth_clients WHERE due_at_ms > $1 AND EXISTS \
         (SELECT 1 FROM events WHERE stream = $2 || oauth_clients.id AND recorded_at > $3) \
         ORDER BY due_at_ms LIMIT 100",
    )
    .bind(usual.as_millisecond())
    .bind(format!("{}-", OauthClient::CATEGORY))
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
