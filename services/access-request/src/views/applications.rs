//! Applications by owner.

use async_trait::async_trait;
use portico_eventstore::{Projection, ProjectionError, RecordedEvent, Row, rows::json, sqlx};
use portico_runtime::lists::{ListQuery, Search, Select, SortColumn, SortColumns};
use sqlx::{AnyConnection, AnyPool, Row as _};
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

#[async_trait]
impl Projection for Applications {
    fn tables(&self) -> &'static [&'static str] {
        &["applications"]
    }

    async fn apply(
        &self,
        tx: &mut AnyConnection,
        event: &RecordedEvent,
    ) -> Result<(), ProjectionError> {
        let Some(change) = event.decode::<Application>()? else {
            return Ok(());
        };
        check(tx, event.stream_id(), &change).await?;
        let id = event.stream_id().to_string();
        let mut state = match row(&mut *tx, &id).await? {
            Some(row) => row.state,
            None => Application::default(),
        };
        portico_eventstore::Aggregate::evolve(&mut state, &change);
        let status = match state.status {
            Status::Deleted => "deleted",
            Status::Active | Status::None => "active",
        };
        sqlx::query(
            "INSERT INTO applications (id, owner_id, name_lower, status, state, version, created_ms, created_at, \
             updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (id) DO UPDATE SET name_lower = excluded.name_lower, status = excluded.status, \
             state = excluded.state, version = excluded.version, updated_at = excluded.updated_at",
        )
        .bind(id)
        .bind(state.owner_id.to_string())
        .bind(state.profile.name.to_lowercase())
        .bind(status.to_owned())
        .bind(serde_json::to_string(&state)?)
        .bind(event.version)
        .bind(event.recorded_at.as_millisecond())
        .bind(event.recorded_at.to_string())
        .bind(event.recorded_at.to_string())
        .execute(tx)
        .await?;
        Ok(())
    }
}

/// The rules that an application shares with its requests.
async fn check(tx: &mut AnyConnection, id: Uuid, change: &Event) -> Result<(), ProjectionError> {
    let (condition, rule) = match change {
        Event::Deleted => ("", rule::APPLICATION_IN_USE),
        Event::Updated(changes) if changes.redirect_urls.as_ref().is_some_and(Vec::is_empty) => {
            ("AND needs_redirect_urls = 1", rule::REDIRECT_URLS_MISSING)
        }
        Event::Created { .. } | Event::Updated(_) | Event::Suspended | Event::Resumed => {
            return Ok(());
        }
    };
    let statement = format!(
        "SELECT 1 FROM access_requests WHERE application_id = $1 AND status IN {LIVING} {condition} LIMIT 1"
    );
    let found = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(id.to_string())
        .fetch_optional(tx)
        .await?;
    match found {
        Some(_) => Err(ProjectionError::Refused(rule)),
        None => Ok(()),
    }
}

async fn row(tx: &mut AnyConnection, id: &str) -> Result<Option<ApplicationRow>, sqlx::Error> {
    let statement = format!("SELECT {COLUMNS} FROM applications WHERE id = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(id.to_owned())
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(read).transpose()
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
    let mut connection = pool.acquire().await?;
    let row = row(&mut connection, &id.to_string()).await?;
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
    let mut select = Select::new(COLUMNS, "applications WHERE status = 'active'");
    if let Some(owner) = owner {
        select.and("owner_id = ?", owner.to_string());
    }
    select.and_found_in(&["name_lower"], search);
    let (rows, next) = select.page(pool, query).await?;
    let applications = rows.iter().map(read).collect::<Result<_, _>>()?;
    Ok((applications, next))
}
