//! The list of deliveries, and what is due.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use portico_eventstore::{
    Database, Projection, ProjectionError, RecordedEvent, Row,
    clock::ClockReading,
    sqlx::{self, AnyConnection, Row as _},
    worker::Due,
};
use portico_proto::notification::v1 as proto;
use portico_runtime::lists::{ListQuery, Select, SortColumn, SortColumns};
use uuid::Uuid;

use crate::delivery::{Delivery, Event, message_id};

/// Keeps `deliveries` in step with the log.
pub struct Deliveries;

const COLUMNS: &str = "id, template, recipient_id, subject_id, status, attempts, resends, last_error, \
                       next_try_at, created_at, sent_at, version";

#[async_trait]
impl Projection for Deliveries {
    fn tables(&self) -> &'static [&'static str] {
        &["deliveries"]
    }

    async fn apply(
        &self,
        tx: &mut AnyConnection,
        event: &RecordedEvent,
    ) -> Result<(), ProjectionError> {
        let Some(happened) = event.decode::<Delivery>()? else {
            return Ok(());
        };
        if let Event::Queued(mail) = &happened {
            sqlx::query(
                "INSERT INTO deliveries (id, position, template, recipient_id, subject_id, status, attempts, \
                 resends, last_error, next_try_at, due_ms, created_at, sent_at, version) \
                 VALUES ($1, $2, $3, $4, $5, 'queued', 0, 0, '', '', $6, $7, '', $8)",
            )
            .bind(event.stream_id().to_string())
            .bind(event.position)
            .bind(mail.template.as_str())
            .bind(mail.recipient_id.to_string())
            .bind(mail.subject_id.map(|id| id.to_string()).unwrap_or_default())
            .bind(event.recorded_at.as_millisecond())
            .bind(event.recorded_at.to_string())
            .bind(event.version)
            .execute(tx)
            .await?;
            return Ok(());
        }
        Change::of(&happened, event).write(tx, event).await
    }
}

/// What an event changes in a row; `None` leaves the column as it is.
#[derive(Default)]
struct Change {
    status: &'static str,
    attempts: Option<i64>,
    resends: Option<i64>,
    error: Option<String>,
    next_try_at: String,
    due_ms: i64,
    sent_at: Option<String>,
}

impl Change {
    fn of(happened: &Event, event: &RecordedEvent) -> Self {
        match happened {
            Event::Queued(_) => Self::default(),
            Event::SendingStarted { attempt } => Self {
                status: "sending",
                attempts: Some(i64::from(*attempt)),
                ..Self::default()
            },
            Event::Sent { .. } => Self {
                status: "sent",
                error: Some(String::new()),
                sent_at: Some(event.recorded_at.to_string()),
                ..Self::default()
            },
            Event::Delayed { error, next_try_at } => Self {
                status: "queued",
                error: Some(error.clone()),
                next_try_at: next_try_at.to_string(),
                due_ms: next_try_at.as_millisecond(),
                ..Self::default()
            },
            Event::Failed { error, .. } => Self {
                status: "failed",
                error: Some(error.clone()),
                ..Self::default()
            },
            Event::ResendRequested { resend } => Self {
                status: "queued",
                resends: Some(i64::from(*resend)),
                error: Some(String::new()),
                due_ms: event.recorded_at.as_millisecond(),
                ..Self::default()
            },
        }
    }

    async fn write(
        self,
        tx: &mut AnyConnection,
        event: &RecordedEvent,
    ) -> Result<(), ProjectionError> {
        sqlx::query(
            "UPDATE deliveries SET status = $1, attempts = COALESCE($2, attempts), \
             resends = COALESCE($3, resends), last_error = COALESCE($4, last_error), next_try_at = $5, \
             due_ms = $6, sent_at = COALESCE($7, sent_at), version = $8 WHERE id = $9",
        )
        .bind(self.status)
        .bind(self.attempts)
        .bind(self.resends)
        .bind(self.error)
        .bind(self.next_try_at)
        .bind(self.due_ms)
        .bind(self.sent_at)
        .bind(event.version)
        .bind(event.stream_id().to_string())
        .execute(tx)
        .await?;
        Ok(())
    }
}

/// Up to `limit` deliveries that are due, the oldest first, and those that are being sent, of which some were left
/// without an outcome by a process that died. A pause longer than `longest` was set by a clock that ran ahead; it does
/// not bind.
pub async fn due(
    database: &Database,
    now: Timestamp,
    longest: Duration,
    limit: i64,
) -> Result<Due, sqlx::Error> {
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
    let id = |row: &Row| {
        let id: String = row.try_get(0)?;
        Uuid::parse_str(&id).map_err(|error| sqlx::Error::Decode(Box::new(error)))
    };
    let next: Option<i64> =
        sqlx::query("SELECT MIN(due_ms) FROM deliveries WHERE status = 'queued' AND due_ms > $1")
            .bind(now_ms)
            .fetch_one(database.pool())
            .await?
            .try_get(0)?;
    Ok(Due {
        now: rows.iter().map(id).collect::<Result<_, _>>()?,
        next: next.and_then(|next| Timestamp::from_millisecond(next).ok()),
    })
}

/// One delivery; `host` is that of the sender's address.
pub async fn find(
    database: &Database,
    id: Uuid,
    host: &str,
) -> Result<Option<proto::Delivery>, sqlx::Error> {
    let statement = format!("SELECT {COLUMNS} FROM deliveries WHERE id = $1");
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(id.to_string())
        .fetch_optional(database.pool())
        .await?
        .map(|row| read(&row, host))
        .transpose()
}

/// What the list can be sorted by: positions in the log are in the order of queueing.
pub const SORT: SortColumns = SortColumns {
    columns: &[("created_at", SortColumn::Number("position"))],
    default: "-created_at",
    id: "id",
};

/// A page of the list, and the cursor of the next one; empty filters restrict nothing.
pub async fn list(
    database: &Database,
    query: &ListQuery,
    status: &str,
    subject_id: &str,
    host: &str,
) -> Result<(Vec<proto::Delivery>, String), sqlx::Error> {
    let mut select = Select::new(COLUMNS, "deliveries WHERE true");
    select.and_given("status = ?", status);
    select.and_given("subject_id = ?", subject_id);
    let (rows, next) = select.page(database.pool(), query).await?;
    let deliveries = rows
        .iter()
        .map(|row| read(row, host))
        .collect::<Result<_, _>>()?;
    Ok((deliveries, next))
}

fn read(row: &Row, host: &str) -> Result<proto::Delivery, sqlx::Error> {
    let count = |index: usize| {
        row.try_get::<i64, _>(index)
            .map(|n| u32::try_from(n).unwrap_or(u32::MAX))
    };
    let id: String = row.try_get(0)?;
    let version: i64 = row.try_get(11)?;
    Ok(proto::Delivery {
        message_id: message_id(&id, count(6)?, host),
        id,
        template: row.try_get(1)?,
        recipient_id: row.try_get(2)?,
        subject_id: row.try_get(3)?,
        status: row.try_get(4)?,
        attempts: count(5)?,
        last_error: row.try_get(7)?,
        next_try_at: row.try_get(8)?,
        created_at: row.try_get(9)?,
        sent_at: row.try_get(10)?,
        version: version.unsigned_abs(),
    })
}
