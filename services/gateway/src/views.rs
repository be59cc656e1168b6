//! Tables that follow the log, and their queries.

pub(crate) mod entitlements;
pub(crate) mod gateways;
pub(crate) mod grants;
pub(crate) mod held_scopes;
pub(crate) mod measures;
pub(crate) mod providers;

use jiff::Timestamp;
use portico_eventstore::Row;
use portico_eventstore::sqlx::{self, Row as _};
use portico_eventstore::worker::Due;
use uuid::Uuid;

/// Of rows with an id and a time in milliseconds, in the order of the latter.
fn due(rows: &[Row], now: Timestamp) -> Result<Due, sqlx::Error> {
    let mut due = Due::default();
    for row in rows {
        let at: i64 = row.try_get(1)?;
        if at > now.as_millisecond() {
            due.next = Timestamp::from_millisecond(at).ok();
            break;
        }
        due.now.push(id(row, 0)?);
    }
    Ok(due)
}

fn id(row: &Row, column: usize) -> Result<Uuid, sqlx::Error> {
    let text: String = row.try_get(column)?;
    parsed(&text)
}

fn parsed(text: &str) -> Result<Uuid, sqlx::Error> {
    text.parse()
        .map_err(|error: uuid::Error| sqlx::Error::Decode(error.into()))
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}
