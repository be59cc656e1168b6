//! The view of deliveries: the list and single ones for admins, and what is due for the worker.

mod due;
pub(crate) mod measures;
mod projection;

use std::time::Duration;

use portico_eventstore::{
    Database, Row,
    retention::{Expiry, Format},
    sqlx::{self, Row as _},
};
use portico_proto::{notification::v1 as proto, rest::Enumeration as _, time};
use portico_runtime::lists::{ListQuery, Select, SortColumn, SortColumns};
use uuid::Uuid;

use crate::delivery::message_id;

pub use due::due;
pub use projection::Deliveries;

/// Deliveries whose outcome is known are pruned, the oldest first.
pub(crate) fn expiry(keep: Duration) -> Expiry {
    Expiry {
        table: "deliveries",
        ended: "SELECT id FROM deliveries WHERE status IN ('sent', 'failed') AND created_at < $1 \
                ORDER BY position LIMIT $2",
        key: "id",
        time: Format::Text,
        keep,
    }
}

const COLUMNS: &str = "id, template, recipient_id, subject_id, status, attempts, resends, last_error, \
                       next_try_at, created_at, sent_at, version";

/// One delivery; `host` is that of the sender's address, for the `Message-ID`.
pub async fn find(
    database: &Database,
    id: Uuid,
    host: &str,
) -> sqlx::Result<Option<proto::Delivery>> {
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
) -> sqlx::Result<(Vec<proto::Delivery>, String)> {
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

/// A template's name as the contract has it.
pub(crate) fn template(name: &str) -> proto::MailTemplate {
    proto::MailTemplate::from_word(name).unwrap_or_default()
}

fn read(row: &Row, host: &str) -> sqlx::Result<proto::Delivery> {
    let count = |index: usize| {
        row.try_get::<i64, _>(index)
            .map(|n| u32::try_from(n).unwrap_or(u32::MAX))
    };
    let id: String = row.try_get(0)?;
    let version: i64 = row.try_get(11)?;
    let given = |index: usize| {
        row.try_get::<String, _>(index)
            .map(|text| Some(text).filter(|text| !text.is_empty()))
    };
    let status = proto::DeliveryStatus::from_word(row.try_get(4)?);
    Ok(proto::Delivery {
        message_id: message_id(&id, count(6)?, host),
        id,
        template: template(row.try_get(1)?).into(),
        recipient_id: row.try_get(2)?,
        subject_id: given(3)?,
        status: status.unwrap_or_default().into(),
        attempts: count(5)?,
        last_error: given(7)?,
        next_try_at: time::parse(row.try_get(8)?),
        created_at: time::parse(row.try_get(9)?),
        sent_at: time::parse(row.try_get(10)?),
        version: version.unsigned_abs(),
    })
}
