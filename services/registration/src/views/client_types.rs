//! The table `client_types` and its queries.

use std::collections::BTreeSet;

use portico_eventstore::sqlx::{self, AnyConnection, AnyPool, AssertSqlSafe, Row as _};
use portico_eventstore::{ProjectionError, RecordedEvent, Row, rows};
use portico_proto::{registration::v1 as api, time};
use portico_runtime::lists::{ListQuery, Select, SortColumn, SortColumns};
use uuid::Uuid;

use super::providers::PROVIDER_NOT_FOUND;
use crate::client_type::{Definition, Event};
use crate::wire;

pub(super) async fn apply(
    tx: &mut AnyConnection,
    at: &RecordedEvent,
    event: &Event,
) -> Result<(), ProjectionError> {
    let id = at.stream_id().to_string();
    match event {
        Event::Added {
            identity_provider_id,
            definition,
        } => {
            let sql = "SELECT 1 FROM identity_providers WHERE id = $1 AND status <> 'deleted'";
            let provider = identity_provider_id.to_string();
            let found = sqlx::query(sql).bind(provider.clone());
            if found.fetch_optional(&mut *tx).await?.is_none() {
                return Err(ProjectionError::Refused(PROVIDER_NOT_FOUND));
            }
            sqlx::query(
                "INSERT INTO client_types (id, identity_provider_id, name, name_key, description, \
                 response_types, grant_types, token_endpoint_auth_method, okta_application_type, status, \
                 version, created_at, updated_at) \
                 VALUES ($1, $2, '', '', '', '[]', '[]', '', '', 'active', 0, $3, $3)",
            )
            .bind(id.clone())
            .bind(provider)
            .bind(at.recorded_at.to_string())
            .execute(&mut *tx)
            .await?;
            write(tx, &id, definition).await?;
        }
        Event::Changed { definition } => write(tx, &id, definition).await?,
        Event::Deleted => {
            sqlx::query("UPDATE client_types SET status = 'deleted' WHERE id = $1")
                .bind(id.clone())
                .execute(&mut *tx)
                .await?;
        }
    }
    sqlx::query("UPDATE client_types SET version = $2, updated_at = $3 WHERE id = $1")
        .bind(id)
        .bind(at.version)
        .bind(at.recorded_at.to_string())
        .execute(tx)
        .await?;
    Ok(())
}

async fn write(
    tx: &mut AnyConnection,
    id: &str,
    definition: &Definition,
) -> Result<(), ProjectionError> {
    sqlx::query(
        "UPDATE client_types SET name = $2, name_key = $3, description = $4, response_types = $5, \
         grant_types = $6, token_endpoint_auth_method = $7, okta_application_type = $8 WHERE id = $1",
    )
    .bind(id.to_owned())
    .bind(definition.name.clone())
    .bind(definition.name.to_lowercase())
    .bind(definition.description.clone())
    .bind(serde_json::to_string(&definition.response_types)?)
    .bind(serde_json::to_string(&definition.grant_types)?)
    .bind(definition.token_endpoint_auth_method.clone())
    .bind(definition.okta_application_type.clone())
    .execute(tx)
    .await?;
    Ok(())
}

const COLUMNS: &str = "c.id, c.identity_provider_id, c.name, c.description, c.response_types, c.grant_types, \
                       c.token_endpoint_auth_method, c.okta_application_type, c.status, c.version, c.created_at, \
                       c.updated_at, p.name AS identity_provider_name";
const THERE: &str = "client_types c JOIN identity_providers p ON p.id = c.identity_provider_id \
                     WHERE c.status <> 'deleted'";

/// What client types can be sorted by.
pub(crate) const SORT: SortColumns = SortColumns {
    columns: &[
        ("name", SortColumn::Text("c.name_key")),
        ("created_at", SortColumn::Text("c.created_at")),
    ],
    default: "name",
    id: "c.id",
};

/// A client type, unless it is deleted.
pub(crate) async fn get(pool: &AnyPool, id: Uuid) -> Result<Option<api::ClientType>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM {THERE} AND c.id = $1");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Client types that are there, and the cursor of the next page. `provider` and `ids` narrow it down.
pub(crate) async fn list(
    pool: &AnyPool,
    query: &ListQuery,
    provider: Option<Uuid>,
    ids: &BTreeSet<Uuid>,
) -> Result<(Vec<api::ClientType>, String), sqlx::Error> {
    let mut select = Select::new(COLUMNS, THERE);
    if let Some(provider) = provider {
        select.and("c.identity_provider_id = ?", provider.to_string());
    }
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    // All ids have the same length: none is found in the middle of others.
    select.and_given("? LIKE '%' || c.id || '%'", &ids.join(","));
    let (rows, next) = select.page(pool, query).await?;
    let types = rows.iter().map(read).collect::<Result<_, _>>()?;
    Ok((types, next))
}

/// How many client types a provider has.
pub(crate) async fn count_of_provider(pool: &AnyPool, provider: Uuid) -> Result<u64, sqlx::Error> {
    let row = sqlx::query(
        "SELECT COUNT(*) FROM client_types WHERE identity_provider_id = $1 AND status <> 'deleted'",
    )
    .bind(provider.to_string())
    .fetch_one(pool)
    .await?;
    Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default())
}

fn read(row: &Row) -> Result<api::ClientType, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let list =
        |column: &str| -> Result<BTreeSet<String>, sqlx::Error> { rows::json(&text(column)?) };
    let definition = Definition {
        name: text("name")?,
        description: text("description")?,
        response_types: list("response_types")?,
        grant_types: list("grant_types")?,
        token_endpoint_auth_method: text("token_endpoint_auth_method")?,
        okta_application_type: text("okta_application_type")?,
    };
    Ok(api::ClientType {
        id: text("id")?,
        identity_provider_id: text("identity_provider_id")?,
        identity_provider_name: text("identity_provider_name")?,
        status: wire::word::<api::ClientTypeStatus>(&text("status")?),
        version: row.try_get::<i64, _>("version")?.unsigned_abs(),
        created_at: time::parse(&text("created_at")?),
        updated_at: time::parse(&text("updated_at")?),
        ..wire::client_type(&definition)
    })
}
