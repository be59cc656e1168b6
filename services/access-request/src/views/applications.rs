//! Applications by owner.

use async_trait::async_trait;
use portico_eventstore::{
    Change, Projection, ProjectionError, Row, Table, Tx, cells,
    rows::{found_ids, json},
    sqlx,
};
use portico_runtime::lists::{ListQuery, Search, Select, SortColumn, SortColumns};
use sqlx::{AnyPool, Row as _};
use uuid::Uuid;

use super::{access_requests::LIVING, rule};
use crate::application::{Application, Event, Status};

/// Keeps the table `applications`.
pub(crate) struct Applications;

/// An application as the view has it.
pub(crate) struct ApplicationRow {
    pub(crate) id: String,
    pub(crate) state: Application,
    pub(crate) version: i64,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

const COLUMNS: &str = "id, state, version, created_at, updated_at";

const TABLE: Table = Table {
    name: "applications",
    key: "id",
    columns: "id owner_id status state version created_ms created_at updated_at",
    once: "owner_id created_ms created_at",
};

#[async_trait]
impl Projection for Applications {
    fn tables(&self) -> &'static [&'static str] {
        &["applications"]
    }

    async fn apply(&self, tx: &mut Tx, change: &Change<'_>) -> Result<(), ProjectionError> {
        let mut rows = Vec::new();
        for stream in change.streams::<Application>(tx, &TABLE).await? {
            for (_, event) in stream.events.iter().filter(|_| change.asks_rules()) {
                check(tx, stream.id, event).await?;
            }
            let (state, created) = (&stream.after, stream.first.recorded_at);
            let status = match state.status {
                Status::Deleted => "deleted",
                Status::Active | Status::None => "active",
            };
            rows.push(cells![
                stream.id,
                state.owner_id,
                status,
                serde_json::to_string(state)?,
                stream.last.version,
                created.as_millisecond(),
                created.to_string(),
                stream.last.recorded_at.to_string(),
            ]);
        }
        TABLE.write(tx, rows).await?;
        Ok(())
    }
}

/// The rules that an application shares with its requests.
async fn check(tx: &mut Tx, id: Uuid, change: &Event) -> Result<(), ProjectionError> {
    let (condition, rule) = match change {
        Event::Deleted => ("", rule::APPLICATION_IN_USE),
        Event::Updated(changes)
            if changes
                .profile
                .is_some_and(|new| !new.kept.has_redirect_urls) =>
        {
            ("AND needs_redirect_urls = 1", rule::REDIRECT_URLS_MISSING)
        }
        Event::Created { .. }
        | Event::Updated(_)
        | Event::Suspended
        | Event::Resumed
        | Event::Erased => return Ok(()),
    };
    let statement = format!(
        "SELECT 1 FROM access_requests WHERE application_id = $1 AND status IN {LIVING} {condition} LIMIT 1"
    );
    match tx.finds(statement, cells![id]).await? {
        true => Err(ProjectionError::Refused(rule)),
        false => Ok(()),
    }
}

fn read(row: &Row) -> Result<ApplicationRow, sqlx::Error> {
    Ok(ApplicationRow {
        id: row.try_get(0)?,
        state: json(row.try_get(1)?)?,
        version: row.try_get(2)?,
        created_at: row.try_get(3)?,
        updated_at: row.try_get(4)?,
    })
}

/// One application that was not deleted.
pub(crate) async fn find(pool: &AnyPool, id: Uuid) -> Result<Option<ApplicationRow>, sqlx::Error> {
    let statement = format!("SELECT {COLUMNS} FROM applications WHERE id = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?;
    let row = row.as_ref().map(read).transpose()?;
    Ok(row.filter(|row| row.state.status == Status::Active))
}

/// What the list can be sorted by.
pub(crate) const SORT: SortColumns = SortColumns {
    columns: &[
        ("name", SortColumn::Text("name_lower")),
        ("created_at", SortColumn::Number("created_ms")),
    ],
    default: "name",
    id: "id",
};

/// A page of applications that were not deleted, of one owner or of all, and the cursor of the next one.
pub(crate) async fn list(
    pool: &AnyPool,
    owner: Option<Uuid>,
    search: &Search,
    query: &ListQuery,
) -> Result<(Vec<ApplicationRow>, String), sqlx::Error> {
    let tables = "applications JOIN application_names ON application = id WHERE status = 'active'";
    let mut select = Select::new(COLUMNS, tables);
    if let Some(owner) = owner {
        select.and("owner_id = ?", owner.to_string());
    }
    select.and_found_in(&["name_lower"], search);
    let (rows, next) = select.page(pool, query).await?;
    let applications = rows.iter().map(read).collect::<Result<_, _>>()?;
    Ok((applications, next))
}

/// All applications that a user has created.
pub(crate) async fn of_owner(pool: &AnyPool, owner: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    let sql = "SELECT id FROM applications WHERE owner_id = $1 ORDER BY id";
    found_ids(pool, sql, [owner.to_string()]).await
}
