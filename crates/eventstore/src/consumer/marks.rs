//! Low-water marks: what stands for rows of the inbox, and for dropped messages, that were pruned.
//!
//! A mark is a time, for each consumer and subject: a message that had been published by then counts as handled. The relay
//! says by when ([`PUBLISHED_BY`]) of those that it publishes again; what it publishes for the first time is always
//! handled, however long ago it was recorded.
//!
//! It is no position: a consumer does not hear of private events, so it cannot tell a gap from one of them; and a log that
//! was restored gives the same positions to other events, which were not published before.
//!
//! A mark rises only by the time that its consumer was seen to have handled everything on the bus. Where nobody looked
//! for longer than the bus surely keeps messages, some may be lost, and the mark stays back by that time: republishing
//! ([`crate::relay::republish`]) brings them, for as long after their loss as was to be had without it.

use std::time::Duration;

use jiff::Timestamp;
use portico_bus::{ConsumerSpec, Message, PUBLISHED_BY};
use sqlx::Row as _;

use crate::{Database, Result};

/// Whether a message counts as handled because the mark is above it.
pub(super) async fn covers(
    database: &Database,
    consumer: &str,
    message: &Message,
) -> sqlx::Result<bool> {
    let by = message.headers.get(PUBLISHED_BY);
    let Some(by) = by.and_then(|at| at.parse::<Timestamp>().ok()) else {
        return Ok(false);
    };
    let row = sqlx::query(
        "SELECT 1 FROM low_water_marks WHERE consumer = $1 AND subject = $2 AND reached_ms >= $3 \
         AND reached_ms >= since_ms",
    )
    .bind(consumer.to_owned())
    .bind(message.subject.clone())
    .bind(by.as_millisecond())
    .fetch_optional(database.pool())
    .await?;
    Ok(row.is_some())
}

/// Notes the subjects that a consumer has from now on.
pub(crate) async fn begin(
    database: &Database,
    consumer: &ConsumerSpec,
    now: Timestamp,
    keep: Duration,
) -> Result<()> {
    for subject in consumer.subjects {
        sqlx::query(
            "INSERT INTO low_water_marks (consumer, subject, since_ms, caught_up_ms, reached_ms) \
             VALUES ($1, $2, $3, $3, $4) ON CONFLICT (consumer, subject) DO NOTHING",
        )
        .bind(consumer.name)
        .bind(*subject)
        .bind(now.as_millisecond())
        .bind(before(now, keep))
        .execute(database.pool())
        .await?;
    }
    Ok(())
}

/// Up to where the marks of a consumer stand: what was handled before that need not be kept.
pub(crate) async fn reached(database: &Database, consumer: &str) -> Result<i64> {
    Ok(read(database, consumer).await?.1)
}

/// When a consumer was last seen to have handled everything on the bus, in milliseconds since 1970.
pub(crate) async fn caught_up(database: &Database, consumer: &str) -> Result<i64> {
    Ok(read(database, consumer).await?.0)
}

/// Raises the marks of a consumer that has handled everything on the bus, to `keep` before now at most. True where they
/// stay back because nobody looked for longer than `longest`.
pub(crate) async fn raise(
    database: &Database,
    consumer: &str,
    now: Timestamp,
    keep: Duration,
    longest: Duration,
) -> Result<bool> {
    let (caught_up, reached) = read(database, consumer).await?;
    let passed = now.as_millisecond().saturating_sub(caught_up).max(0);
    let is_blind = passed > milliseconds(longest);
    let passed = if is_blind { 0 } else { passed };
    let to = before(now, keep)
        .min(reached.saturating_add(passed))
        .max(reached);
    sqlx::query(
        "UPDATE low_water_marks SET caught_up_ms = $2, \
         reached_ms = CASE WHEN reached_ms > $3 THEN reached_ms ELSE $3 END WHERE consumer = $1",
    )
    .bind(consumer.to_owned())
    .bind(now.as_millisecond())
    .bind(to)
    .execute(database.pool())
    .await?;
    Ok(is_blind)
}

/// When a consumer was last seen without a backlog, and where its marks stand.
async fn read(database: &Database, consumer: &str) -> Result<(i64, i64)> {
    let row = sqlx::query(
        "SELECT COALESCE(MIN(caught_up_ms), 0), COALESCE(MIN(reached_ms), 0) FROM low_water_marks \
         WHERE consumer = $1",
    )
    .bind(consumer.to_owned())
    .fetch_one(database.pool())
    .await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

fn before(now: Timestamp, keep: Duration) -> i64 {
    now.as_millisecond().saturating_sub(milliseconds(keep))
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
