//! The list of deliveries, and what is due.

use std::collections::HashSet;

use async_trait::async_trait;
use portico_eventstore::{
    Database, Projection, ProjectionError, RecordedEvent, Row, sqlx,
    sqlx::{AnyConnection, Row as _},
};
use portico_proto::{Error, notification::v1 as proto, rest::Enumeration as _, time};
use portico_runtime::Page;
use uuid::Uuid;

use crate::delivery::{Delivery, Event, message_id};

/// Keeps `deliveries` in step with the log.
pub struct Deliveries;

const COLUMNS: &str = "position, id, template, recipient_id, subject_id, status, attempts, resends, last_error, \
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

/// A delivery to be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its id.
    pub id: Uuid,
    /// Version that it was seen at; it is taken only at this one.
    pub version: u64,
}

/// Up to `limit` deliveries that are due, the oldest first, and those whose sending was begun by a process that
/// is gone: `sending`, but not in `busy`, which is what this process is sending. What would be due after `latest_ms`
/// was written by a clock that was ahead; it is due now.
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

/// When the next delivery that waits for its time is due, in milliseconds since 1970.
pub async fn next_due_ms(database: &Database, now_ms: i64) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query("SELECT MIN(due_ms) FROM deliveries WHERE status = 'queued' AND due_ms > $1")
        .bind(now_ms)
        .fetch_one(database.pool())
        .await?
        .try_get(0)
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
        .map(|row| read(&row, host).map(|(_, delivery)| delivery))
        .transpose()
}

/// The order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they were queued.
    OldestFirst,
    /// The other way round.
    NewestFirst,
}

impl Order {
    /// Reads `sort`.
    ///
    /// # Errors
    /// What it must be.
    pub fn parse(sort: &str) -> Result<Self, Error> {
        match sort {
            "" | "-created_at" => Ok(Self::NewestFirst),
            "created_at" => Ok(Self::OldestFirst),
            _ => Err(Error::field(
                "sort",
                "sort_invalid",
                "`sort` must be created_at or -created_at.",
            )),
        }
    }
}

/// A page of the list; empty filters: all.
pub async fn list(
    database: &Database,
    page: &Page,
    order: Order,
    status: &str,
    subject_id: &str,
    host: &str,
) -> Result<(Vec<proto::Delivery>, String), ListError> {
    let (compare, direction, first) = match order {
        Order::OldestFirst => (">", "ASC", 0),
        Order::NewestFirst => ("<", "DESC", i64::MAX),
    };
    let from = match &page.after {
        None => first,
        Some((position, _)) => position.parse().map_err(|_| {
            Error::field(
                "after",
                "cursor_invalid",
                "`after` must be the `next` of the page before.",
            )
        })?,
    };
    let statement = format!(
        "SELECT {COLUMNS} FROM deliveries WHERE position {compare} $1 AND ($2 = '' OR status = $2) \
         AND ($3 = '' OR subject_id = $3) ORDER BY position {direction} LIMIT $4"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(from)
        .bind(status.to_owned())
        .bind(subject_id.to_owned())
        .bind(page.fetch())
        .fetch_all(database.pool())
        .await?;
    let rows = rows
        .iter()
        .map(|row| read(row, host))
        .collect::<Result<Vec<_>, _>>()?;
    let (rows, next) = page.cut(rows, |(position, delivery)| {
        (position.to_string(), delivery.id.clone())
    });
    Ok((
        rows.into_iter().map(|(_, delivery)| delivery).collect(),
        next,
    ))
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The cursor is not one of this list.
    #[error(transparent)]
    Cursor(#[from] Error),
    /// The database failed.
    #[error(transparent)]
    Query(#[from] sqlx::Error),
}

/// A template's name as the contract has it.
pub(crate) fn template(name: &str) -> proto::MailTemplate {
    proto::MailTemplate::from_word(name).unwrap_or_default()
}

fn read(row: &Row, host: &str) -> Result<(i64, proto::Delivery), sqlx::Error> {
    let count = |index: usize| {
        row.try_get::<i64, _>(index)
            .map(|n| u32::try_from(n).unwrap_or(u32::MAX))
    };
    let id: String = row.try_get(1)?;
    let version: i64 = row.try_get(12)?;
    let given = |index: usize| {
        row.try_get::<String, _>(index)
            .map(|text| Some(text).filter(|text| !text.is_empty()))
    };
    let status = proto::DeliveryStatus::from_word(row.try_get(5)?);
    let delivery = proto::Delivery {
        message_id: message_id(&id, count(7)?, host),
        id,
        template: template(row.try_get(2)?).into(),
        recipient_id: row.try_get(3)?,
        subject_id: given(4)?,
        status: status.unwrap_or_default().into(),
        attempts: count(6)?,
        last_error: given(8)?,
        next_try_at: time::parse(row.try_get(9)?),
        created_at: time::parse(row.try_get(10)?),
        sent_at: time::parse(row.try_get(11)?),
        version: version.unsigned_abs(),
    };
    Ok((row.try_get(0)?, delivery))
}
