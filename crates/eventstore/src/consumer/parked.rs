//! Messages that could not be handled: kept with the reason until an admin replays or drops them.
//!
//! * here: what a consumer reads and writes
//! * `admin`: what admins list, replay and drop
//! * `payload`: the content as text

mod admin;
mod payload;

use jiff::Timestamp;
use portico_bus::Message;
use sqlx::Row as _;
use uuid::Uuid;

use super::PolicyError;
use crate::{Database, Result, StoreError, rows};
pub use admin::{
    Parked, ParkedFilter, ParkedStatus, drop_parked, list_parked, parked, release_parked,
};

/// Parks a delivered message. A redelivery updates the same row.
pub(super) async fn park(
    database: &Database,
    consumer: &str,
    message: &Message,
    reason: &PolicyError,
    attempts: u32,
    now: Timestamp,
) -> Result<()> {
    let headers = serde_json::to_string(&message.headers).map_err(StoreError::codec)?;
    sqlx::query(
        "INSERT INTO parked (consumer, message_id, subject, payload, headers, reason, attempts, parked_at, \
         first_parked_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) \
         ON CONFLICT (consumer, message_id) DO UPDATE SET \
         reason = excluded.reason, tried = parked.tried + parked.attempts, attempts = excluded.attempts, \
         parked_at = excluded.parked_at",
    )
    .bind(consumer.to_owned())
    .bind(message.id.to_string())
    .bind(message.subject.clone())
    .bind(payload::to_text(&message.payload))
    .bind(headers)
    .bind(reason.to_string())
    .bind(i64::from(attempts))
    .bind(now.to_string())
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Parks a released message again that could not be handled. One that another replica has handled meanwhile is gone
/// and stays gone.
pub(super) async fn park_again(
    database: &Database,
    consumer: &str,
    message_id: Uuid,
    reason: &PolicyError,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "UPDATE parked SET reason = $3, attempts = 1, parked_at = $4 \
         WHERE consumer = $1 AND message_id = $2 AND attempts = 0",
    )
    .bind(consumer.to_owned())
    .bind(message_id.to_string())
    .bind(reason.to_string())
    .bind(now.to_string())
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Whether admins have dropped messages of a consumer, and whether they have released some that were not handled yet.
pub(super) async fn decided(database: &Database, consumer: &str) -> Result<(bool, bool)> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM dropped WHERE consumer = $1 LIMIT 1) AS dropped), \
         (SELECT COUNT(*) FROM (SELECT 1 FROM parked WHERE consumer = $1 AND attempts = 0 LIMIT 1) AS released)",
    )
    .bind(consumer.to_owned())
    .fetch_one(database.pool())
    .await?;
    Ok((row.try_get::<i64, _>(0)? > 0, row.try_get::<i64, _>(1)? > 0))
}

/// Messages that an admin has released.
pub(super) async fn released(database: &Database, consumer: &str) -> Result<Vec<Message>> {
    let rows = sqlx::query(
        "SELECT message_id, subject, payload, headers FROM parked WHERE consumer = $1 AND attempts = 0 \
         ORDER BY parked_at, message_id LIMIT 100",
    )
    .bind(consumer.to_owned())
    .fetch_all(database.pool())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Message {
                id: rows::id(row)?,
                subject: row.try_get(1)?,
                payload: payload::of_text(row.try_get(2)?)?,
                headers: rows::json(row.try_get(3)?)?,
            })
        })
        .collect()
}

/// Deletes a message that was handled in the end.
pub(super) async fn forget(database: &Database, consumer: &str, message_id: Uuid) -> Result<()> {
    sqlx::query("DELETE FROM parked WHERE consumer = $1 AND message_id = $2")
        .bind(consumer.to_owned())
        .bind(message_id.to_string())
        .execute(database.pool())
        .await?;
    Ok(())
}

/// Whether an admin has dropped it.
pub(super) async fn was_dropped(
    database: &Database,
    consumer: &str,
    message_id: Uuid,
) -> Result<bool> {
    let row = sqlx::query("SELECT 1 FROM dropped WHERE consumer = $1 AND message_id = $2")
        .bind(consumer.to_owned())
        .bind(message_id.to_string())
        .fetch_optional(database.pool())
        .await?;
    Ok(row.is_some())
}
