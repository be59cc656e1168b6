//! The table `plans`.

use jiff::Timestamp;
use portico_eventstore::{ProjectionError, RecordedEvent, Row, rows};
use portico_proto::{catalog::v1, rest::Enumeration as _};
use portico_runtime::lists::{ListQuery, Search, Select};
use sqlx::{AnyConnection, AnyPool, Row as _};
use uuid::Uuid;

use super::{
    Audience,
    scopes::{self, Owner},
};
use crate::{
    plan::{Details, Event, Status},
    wire,
};

pub(super) async fn apply(
    tx: &mut AnyConnection,
    event: &RecordedEvent,
    private: &Event,
) -> Result<(), ProjectionError> {
    match private {
        Event::Created { details, at } | Event::Changed { details, at } => {
            write(tx, event, details, *at).await
        }
        Event::Deleted { at } => delete(tx, event, *at).await,
    }
}

async fn write(
    tx: &mut AnyConnection,
    event: &RecordedEvent,
    details: &Details,
    at: Timestamp,
) -> Result<(), ProjectionError> {
    let id = event.stream_id();
    sqlx::query(
        "INSERT INTO plans (id, status, name_key, search_text, details, version, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7) \
         ON CONFLICT (id) DO UPDATE SET name_key = excluded.name_key, search_text = excluded.search_text, \
         details = excluded.details, version = excluded.version, updated_at = excluded.updated_at",
    )
    .bind(id.to_string())
    .bind(Status::Active.as_str())
    .bind(details.name.to_lowercase())
    .bind(format!("{}\n{}", details.name, details.description).to_lowercase())
    .bind(serde_json::to_string(details)?)
    .bind(event.version)
    .bind(wire::time(at))
    .execute(&mut *tx)
    .await?;
    let owner = Owner {
        kind: "plan",
        id,
        name: &details.name,
    };
    scopes::claim(tx, &owner, &details.scopes).await
}

async fn delete(
    tx: &mut AnyConnection,
    event: &RecordedEvent,
    at: Timestamp,
) -> Result<(), ProjectionError> {
    scopes::release(tx, event.stream_id()).await?;
    sqlx::query("UPDATE plans SET status = $1, version = $2, updated_at = $3 WHERE id = $4")
        .bind(Status::Deleted.as_str())
        .bind(event.version)
        .bind(wire::time(at))
        .bind(event.stream_id().to_string())
        .execute(tx)
        .await?;
    Ok(())
}

/// One plan; a deleted one for services only.
pub(crate) async fn get(
    pool: &AnyPool,
    audience: Audience,
    id: Uuid,
) -> sqlx::Result<Option<v1::Plan>> {
    let row = sqlx::query(
        "SELECT id, status, details, version, created_at, updated_at FROM plans WHERE id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(pool)
    .await?;
    let plan = row.map(|row| message(&row, audience)).transpose()?;
    Ok(plan.filter(|p| audience == Audience::Service || p.status() == v1::PlanStatus::Active))
}

/// A page of the plans that are there, and the cursor of the next.
pub(crate) async fn list(
    pool: &AnyPool,
    audience: Audience,
    search: &Search,
    query: &ListQuery,
) -> sqlx::Result<(Vec<v1::Plan>, String)> {
    let mut select = Select::new(
        "id, status, details, version, created_at, updated_at",
        "plans WHERE true",
    );
    select.and("status = ?", Status::Active.as_str());
    select.and_found_in(&["search_text"], search);
    let (rows, next) = select.page(pool, query).await?;
    let plans = rows.iter().map(|row| message(row, audience));
    Ok((plans.collect::<Result<_, _>>()?, next))
}

/// Without what the audience may not see.
fn message(row: &Row, audience: Audience) -> sqlx::Result<v1::Plan> {
    let status: String = row.try_get(1)?;
    let details: Details = rows::json(row.try_get(2)?)?;
    let status = v1::PlanStatus::from_word(&status).unwrap_or_default();
    let time = |column: usize| rows::parsed(row.try_get(column)?);
    let times = (time(4)?, time(5)?);
    let mut plan = wire::plan_message(rows::id(row)?, row.try_get(3)?, &details, status, times);
    plan.mapping = plan.mapping.filter(|_| audience.sees_mappings());
    Ok(plan)
}
