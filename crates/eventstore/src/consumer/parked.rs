//! Messages that could not be handled: kept with the reason, until somebody releases them to be tried again.

use bytes::Bytes;
use jiff::Timestamp;
use portico_bus::Message;
use sqlx::Row as _;
use uuid::Uuid;

use super::PolicyError;
use crate::{Database, Row, StoreError};

/// A parked message, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Durable name of the consumer.
    pub consumer: String,
    /// The message's id.
    pub message_id: Uuid,
    /// Its subject.
    pub subject: String,
    /// Why it could not be handled, the last time.
    pub reason: String,
    /// Deliveries until it was parked; 0: released, and about to be tried again.
    pub attempts: i64,
    /// When.
    pub parked_at: Timestamp,
}

/// How many messages of a consumer are parked; for health and metrics.
pub async fn parked(database: &Database, consumer: &str) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) FROM parked WHERE consumer = $1")
        .bind(consumer.to_owned())
        .fetch_one(database.pool())
        .await?;
    Ok(row.try_get(0)?)
}

/// The parked messages of every consumer of this database, the oldest first.
pub async fn list_parked(database: &Database) -> Result<Vec<Parked>, StoreError> {
    let rows = sqlx::query(
        "SELECT consumer, message_id, subject, reason, attempts, parked_at FROM parked \
         ORDER BY parked_at, message_id",
    )
    .fetch_all(database.pool())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Parked {
                consumer: row.try_get(0)?,
                message_id: read_id(row, 1)?,
                subject: row.try_get(2)?,
                reason: row.try_get(3)?,
                attempts: row.try_get(4)?,
                parked_at: row
                    .try_get::<String, _>(5)?
                    .parse()
                    .map_err(|e: jiff::Error| StoreError::Codec(e.to_string()))?,
            })
        })
        .collect()
}

/// Has the consumer try its parked messages again, or only one of them; the running service does so within
/// seconds, from whatever process this is called. Gives the number of messages.
pub async fn release_parked(
    database: &Database,
    consumer: &str,
    message_id: Option<Uuid>,
) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "UPDATE parked SET attempts = 0 WHERE consumer = $1 AND ($2 = '' OR message_id = $2)",
    )
    .bind(consumer.to_owned())
    .bind(message_id.map(|id| id.to_string()).unwrap_or_default())
    .execute(database.pool())
    .await?;
    Ok(done.rows_affected())
}

pub(super) async fn park(
    database: &Database,
    consumer: &str,
    message: &Message,
    reason: &PolicyError,
    attempts: u32,
    now: Timestamp,
) -> Result<(), StoreError> {
    let headers =
        serde_json::to_string(&message.headers).map_err(|e| StoreError::Codec(e.to_string()))?;
    sqlx::query(
        "INSERT INTO parked (consumer, message_id, subject, payload, headers, reason, attempts, parked_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (consumer, message_id) DO UPDATE SET \
         reason = excluded.reason, attempts = excluded.attempts, parked_at = excluded.parked_at",
    )
    .bind(consumer.to_owned())
    .bind(message.id.to_string())
    .bind(message.subject.clone())
    .bind(hex(&message.payload))
    .bind(headers)
    .bind(reason.to_string())
    .bind(i64::from(attempts))
    .bind(now.to_string())
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Messages that somebody has released.
pub(super) async fn released(
    database: &Database,
    consumer: &str,
) -> Result<Vec<Message>, StoreError> {
    let rows = sqlx::query(
        "SELECT message_id, subject, payload, headers FROM parked WHERE consumer = $1 AND attempts = 0 \
         ORDER BY parked_at, message_id LIMIT 100",
    )
    .bind(consumer.to_owned())
    .fetch_all(database.pool())
    .await?;
    rows.iter()
        .map(|row| {
            let headers: String = row.try_get(3)?;
            Ok(Message {
                id: read_id(row, 0)?,
                subject: row.try_get(1)?,
                payload: unhex(&row.try_get::<String, _>(2)?)?,
                headers: serde_json::from_str(&headers)
                    .map_err(|e| StoreError::Codec(e.to_string()))?,
            })
        })
        .collect()
}

/// A message that was handled in the end.
pub(super) async fn forget(
    database: &Database,
    consumer: &str,
    message_id: Uuid,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM parked WHERE consumer = $1 AND message_id = $2")
        .bind(consumer.to_owned())
        .bind(message_id.to_string())
        .execute(database.pool())
        .await?;
    Ok(())
}

fn read_id(row: &Row, index: usize) -> Result<Uuid, StoreError> {
    row.try_get::<String, _>(index)?
        .parse()
        .map_err(|e: uuid::Error| StoreError::Codec(e.to_string()))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn unhex(text: &str) -> Result<Bytes, StoreError> {
    let wrong = || StoreError::Codec("a parked payload is not hexadecimal".to_owned());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(wrong());
    }
    pairs
        .iter()
        .map(|pair| {
            let digits = std::str::from_utf8(pair).map_err(|_| wrong())?;
            u8::from_str_radix(digits, 16).map_err(|_| wrong())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_survive_parking() {
        let payload: Vec<u8> = (0..=255).collect();
        assert_eq!(unhex(&hex(&payload)).unwrap(), payload);
        assert!(unhex("0").is_err());
        assert!(unhex("zz").is_err());
    }
}
