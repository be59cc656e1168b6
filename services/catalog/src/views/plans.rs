//! The table `plans`.

use std::collections::BTreeSet;

use portico_eventstore::{
    Cell, Change, ProjectionError, Row, StreamChange, Table, Tx, cells, rows,
};
use portico_proto::catalog::v1;
use portico_runtime::lists::{ListQuery, Search, Select};
use sqlx::{AnyPool, AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::{Audience, scopes::Claim, time};
use crate::{
    plan::{Plan, Status},
    wire,
};

const TABLE: Table = Table {
    name: "plans",
    key: "id",
    columns: "id status name_key search_text details version created_at updated_at",
    once: "created_at",
};

/// What [`read`] reads.
const COLUMNS: &str = "id, status, details, created_at, updated_at, version";

/// Writes the rows, and gives the scopes that plans have then.
pub(super) async fn apply(tx: &mut Tx, change: &Change<'_>) -> Result<Vec<Claim>, ProjectionError> {
    let columns = "status, details, created_at, updated_at";
    let plans = change
        .streams_from::<Plan>(tx, &TABLE, columns, read)
        .await?;
    let rows: Result<Vec<_>, _> = plans.iter().map(row_of).collect();
    TABLE.write(tx, rows?).await?;
    Ok(plans.iter().filter_map(claim).collect())
}

/// `None` where the plan keeps its scopes.
fn claim(plan: &StreamChange<'_, Plan>) -> Option<Claim> {
    let after = &plan.after;
    let is_deleted = after.status == Some(Status::Deleted);
    (is_deleted || plan.before.details != after.details).then(|| Claim {
        kind: "plan",
        id: plan.id,
        is_new: plan.is_new(),
        name: after.details.name.clone(),
        scopes: match is_deleted {
            true => BTreeSet::new(),
            false => after.details.scopes.clone(),
        },
    })
}

fn row_of(plan: &StreamChange<'_, Plan>) -> Result<Vec<Cell>, ProjectionError> {
    let Plan {
        status,
        details,
        created_at,
        updated_at,
    } = &plan.after;
    Ok(cells![
        plan.id,
        status.map(Status::as_str).unwrap_or_default(),
        details.name.to_lowercase(),
        format!("{}\n{}", details.name, details.description).to_lowercase(),
        serde_json::to_string(details)?,
        plan.last.version,
        time(*created_at),
        time(*updated_at),
    ])
}

/// One plan; a deleted one for services only.
pub(crate) async fn get(
    pool: &AnyPool,
    audience: Audience,
    id: Uuid,
) -> sqlx::Result<Option<v1::Plan>> {
    let row = sqlx::query(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM plans WHERE id = $1"
    )))
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
    let mut select = Select::new(COLUMNS, "plans WHERE true");
    select.and("status = ?", Status::Active.as_str());
    select.and_found_in(&["search_text"], search);
    let (rows, next) = select.page(pool, query).await?;
    let plans = rows.iter().map(|row| message(row, audience));
    Ok((plans.collect::<Result<_, _>>()?, next))
}

fn read(row: &Row) -> sqlx::Result<Plan> {
    Ok(Plan {
        status: row.try_get::<&str, _>(1)?.parse().ok(),
        details: rows::json(row.try_get(2)?)?,
        created_at: rows::parsed(row.try_get(3)?)?,
        updated_at: rows::parsed(row.try_get(4)?)?,
    })
}

/// Without what the audience may not see.
fn message(row: &Row, audience: Audience) -> sqlx::Result<v1::Plan> {
    let mut plan = wire::plan(rows::id(row)?, row.try_get(5)?, &read(row)?);
    plan.mapping = plan.mapping.filter(|_| audience.sees_mappings());
    Ok(plan)
}
