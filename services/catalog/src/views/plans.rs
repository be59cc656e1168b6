//! The table `plans`.

use std::collections::BTreeMap;

use portico_eventstore::{Cell, Change, ProjectionError, Row, Table, cells, rows};
use portico_proto::{catalog::v1, rest::Enumeration as _};
use portico_runtime::lists::{ListQuery, Search, Select};
use sqlx::{AnyConnection, AnyPool, Row as _};
use uuid::Uuid;

use super::{Audience, RowChange, scopes::Claim};
use crate::{
    plan::{Details, Event, Plan, Status},
    wire,
};

const TABLE: Table = Table {
    name: "plans",
    key: "id",
    columns: "id status name_key search_text details version created_at updated_at",
    once: "created_at",
};

/// Where nothing is said of the status.
const DETAILS: Table = Table {
    once: "status created_at",
    ..TABLE
};

/// Writes the rows, and gives the scopes that plans have then.
pub(super) async fn apply(
    tx: &mut AnyConnection,
    change: &Change<'_>,
) -> Result<Vec<Claim>, ProjectionError> {
    let mut plans: BTreeMap<Uuid, RowChange<Details>> = BTreeMap::new();
    for (event, private) in change.decoded::<Plan>()? {
        let (details, status, at) = match private {
            Event::Created { details, at } => (Some(details), Some(Status::Active), at),
            Event::Changed { details, at } => (Some(details), None, at),
            Event::Deleted { at } => (None, Some(Status::Deleted), at),
        };
        let plan = plans.entry(event.stream_id()).or_default();
        plan.follow(event, details, status.map(Status::as_str), at);
    }
    let (mut rows, mut details, mut claims) = (Vec::new(), Vec::new(), Vec::new());
    for (id, plan) in plans {
        claims.extend(plan.scopes(|details| &details.scopes).map(|scopes| {
            Claim {
                kind: "plan",
                id,
                is_new: plan.is_new,
                name: plan
                    .details
                    .as_ref()
                    .map_or_else(String::new, |details| details.name.clone()),
                scopes,
            }
        }));
        match &plan.details {
            None => plan.write_status(tx, &TABLE, id).await?,
            Some(changed) if plan.status.is_none() => details.push(row_of(id, &plan, changed)?),
            Some(changed) => rows.push(row_of(id, &plan, changed)?),
        }
    }
    TABLE.write(tx, rows).await?;
    DETAILS.write(tx, details).await?;
    Ok(claims)
}

fn row_of(
    id: Uuid,
    plan: &RowChange<Details>,
    details: &Details,
) -> Result<Vec<Cell>, ProjectionError> {
    Ok(cells![
        id,
        plan.status.unwrap_or_default(),
        details.name.to_lowercase(),
        format!("{}\n{}", details.name, details.description).to_lowercase(),
        serde_json::to_string(details)?,
        plan.version,
        wire::time(plan.created_at),
        wire::time(plan.updated_at),
    ])
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
