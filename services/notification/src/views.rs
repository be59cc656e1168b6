//! The view of deliveries: the list and single ones for admins, and what is due for the worker.

mod due;
pub(crate) mod measures;
mod projection;

use portico_eventstore::{Database, Row, sqlx, sqlx::Row as _};
use portico_proto::{Error, notification::v1 as proto};
use portico_runtime::Page;
use uuid::Uuid;

use crate::delivery::message_id;

pub use due::{Due, due, next_due_ms};
pub use projection::Deliveries;

const COLUMNS: &str = "position, id, template, recipient_id, subject_id, status, attempts, resends, last_error, \
                       next_try_at, created_at, sent_at, version";

/// One delivery; `host` is that of the sender's address, for the `Message-ID`.
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

/// Order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In the order in which they were queued.
    OldestFirst,
    /// The reverse.
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

fn read(row: &Row, host: &str) -> Result<(i64, proto::Delivery), sqlx::Error> {
    let count = |index: usize| {
        row.try_get::<i64, _>(index)
            .map(|n| u32::try_from(n).unwrap_or(u32::MAX))
    };
    let id: String = row.try_get(1)?;
    let version: i64 = row.try_get(12)?;
    let delivery = proto::Delivery {
        message_id: message_id(&id, count(7)?, host),
        id,
        template: row.try_get(2)?,
        recipient_id: row.try_get(3)?,
        subject_id: row.try_get(4)?,
        status: row.try_get(5)?,
        attempts: count(6)?,
        last_error: row.try_get(8)?,
        next_try_at: row.try_get(9)?,
        created_at: row.try_get(10)?,
        sent_at: row.try_get(11)?,
        version: version.unsigned_abs(),
    };
    Ok((row.try_get(0)?, delivery))
}
