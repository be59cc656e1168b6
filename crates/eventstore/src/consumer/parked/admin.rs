//! Administration of parked messages: list, replay, drop.

use jiff::Timestamp;
use sqlx::Row as _;
use uuid::Uuid;

use crate::{Database, Result, Row, rows};

/// A parked message, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Durable name of the consumer.
    pub consumer: String,
    /// Id of the message on the bus, by which consumers recognise repetitions.
    pub message_id: Uuid,
    /// Subject under which the message was published.
    pub subject: String,
    /// Why it could not be handled, the last time.
    pub reason: String,
    /// Deliveries and replays so far, in all.
    pub attempts: i64,
    /// When it was parked for the first time.
    pub first_parked_at: Timestamp,
    /// When it was parked for the last time.
    pub parked_at: Timestamp,
    /// Waiting for a decision, about to be processed again, or dropped.
    pub status: ParkedStatus,
}

/// Where a parked message stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParkedStatus {
    /// Waits for an admin's decision.
    Parked,
    /// Released: it is about to be tried again.
    Replaying,
    /// Dropped.
    Dropped {
        /// Time of the decision.
        at: Timestamp,
        /// The actor: a user's id.
        by: String,
    },
}

/// Selects parked messages of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParkedFilter {
    /// Only this consumer's; empty: of all consumers.
    pub consumer: String,
    /// Only of this subject; empty: of any.
    pub subject: String,
    /// `parked`, `replaying` or `dropped`; empty: the first two.
    pub status: String,
    /// The key ([`Parked::key`]) after which the page begins.
    pub after: Option<(String, String)>,
    /// Rows at most; 0: all.
    pub limit: i64,
}

impl Parked {
    /// Sort key in the list: time, then consumer and id.
    pub fn key(&self) -> (String, String) {
        let id = format!("{}/{}", self.consumer, self.message_id);
        (self.parked_at.to_string(), id)
    }
}

/// How many messages of a consumer are parked; for health and metrics.
pub async fn parked(database: &Database, consumer: &str) -> Result<i64> {
    let row = sqlx::query("SELECT COUNT(*) FROM parked WHERE consumer = $1")
        .bind(consumer.to_owned())
        .fetch_one(database.pool())
        .await?;
    Ok(row.try_get(0)?)
}

/// The columns of messages that were not dropped.
macro_rules! kept {
    () => {
        "SELECT consumer, message_id, subject, reason, tried + attempts, first_parked_at, parked_at, \
         attempts AS last, '', '' FROM parked"
    };
}

/// The parked messages of this database, the most recent first.
pub async fn list_parked(database: &Database, filter: &ParkedFilter) -> Result<Vec<Parked>> {
    let from = match filter.status.as_str() {
        "dropped" => {
            "SELECT consumer, message_id, subject, reason, attempts, first_parked_at, parked_at, attempts AS last, \
             dropped_at, dropped_by FROM dropped WHERE 1 = 1"
        }
        "replaying" => concat!(kept!(), " WHERE attempts = 0"),
        "parked" => concat!(kept!(), " WHERE attempts > 0"),
        _ => concat!(kept!(), " WHERE 1 = 1"),
    };
    let statement = format!(
        "{from} AND ($1 = '' OR consumer = $1) AND ($2 = '' OR subject = $2) \
         AND ($3 = '' OR parked_at < $3 OR (parked_at = $3 AND consumer || '/' || message_id > $4)) \
         ORDER BY parked_at DESC, consumer || '/' || message_id LIMIT $5"
    );
    let (time, id) = filter.after.clone().unwrap_or_default();
    let limit = if filter.limit == 0 {
        i64::MAX
    } else {
        filter.limit
    };
    let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(filter.consumer.clone())
        .bind(filter.subject.clone())
        .bind(time)
        .bind(id)
        .bind(limit)
        .fetch_all(database.pool())
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Parked> {
    let (last, by): (i64, String) = (row.try_get(7)?, row.try_get(9)?);
    Ok(Parked {
        consumer: row.try_get(0)?,
        message_id: rows::parsed(row.try_get(1)?)?,
        subject: row.try_get(2)?,
        reason: row.try_get(3)?,
        attempts: row.try_get(4)?,
        first_parked_at: rows::parsed(row.try_get(5)?)?,
        parked_at: rows::parsed(row.try_get(6)?)?,
        status: match (last, by.is_empty()) {
            (_, false) => ParkedStatus::Dropped {
                at: rows::parsed(row.try_get(8)?)?,
                by,
            },
            (0, true) => ParkedStatus::Replaying,
            (_, true) => ParkedStatus::Parked,
        },
    })
}

/// Releases parked messages for a replay: those of a consumer, or with an id, or both. The running service handles them
/// within seconds, from whatever process this is called. Returns the number of messages.
pub async fn release_parked(
    database: &Database,
    consumer: &str,
    message_id: Option<Uuid>,
) -> Result<u64> {
    let done = sqlx::query(
        "UPDATE parked SET tried = tried + attempts, attempts = 0 \
         WHERE ($1 = '' OR consumer = $1) AND ($2 = '' OR message_id = $2)",
    )
    .bind(consumer.to_owned())
    .bind(text(message_id))
    .execute(database.pool())
    .await?;
    Ok(done.rows_affected())
}

/// Drops parked messages: those of a consumer, or with an id, or both. What they were, who decided and when is kept,
/// their content is not. Returns the number of messages.
pub async fn drop_parked(
    database: &Database,
    consumer: &str,
    message_id: Option<Uuid>,
    by: &str,
    now: Timestamp,
) -> Result<u64> {
    let mut tx = database.pool().begin().await?;
    sqlx::query(
        "INSERT INTO dropped (consumer, message_id, subject, reason, attempts, first_parked_at, parked_at, dropped_at, \
         dropped_by) SELECT consumer, message_id, subject, reason, tried + attempts, \
         first_parked_at, parked_at, $3, $4 FROM parked \
         WHERE ($1 = '' OR consumer = $1) AND ($2 = '' OR message_id = $2) \
         ON CONFLICT (consumer, message_id) DO NOTHING",
    )
    .bind(consumer.to_owned())
    .bind(text(message_id))
    .bind(now.to_string())
    .bind(by.to_owned())
    .execute(&mut *tx)
    .await?;
    // Only what is noted above: a message may be parked between the two statements.
    let done = sqlx::query(
        "DELETE FROM parked WHERE ($1 = '' OR consumer = $1) AND ($2 = '' OR message_id = $2) \
         AND EXISTS (SELECT 1 FROM dropped WHERE dropped.consumer = parked.consumer \
         AND dropped.message_id = parked.message_id)",
    )
    .bind(consumer.to_owned())
    .bind(text(message_id))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

fn text(id: Option<Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}
