//! The table `client_types` and its queries.

use std::collections::BTreeSet;

use portico_eventstore::rows::{found, json};
use portico_eventstore::sqlx::{self, Any, AnyPool, AssertSqlSafe, Executor, Row as _};
use portico_eventstore::{ProjectionError, RecordedEvent, Row, Table, Tx, cells};
use portico_proto::{registration::v1 as api, time};
use portico_runtime::lists::{ListQuery, Select, SortColumn, SortColumns};
use uuid::Uuid;

use super::providers::PROVIDER_NOT_FOUND;
use super::usage::count;
use crate::client_type::{Definition, Event};
use crate::wire;

const TABLE: Table = Table {
    name: "client_types",
    key: "id",
    columns: "id identity_provider_id name name_key description response_types grant_types \
        token_endpoint_auth_method okta_application_type status version created_at updated_at",
    once: "identity_provider_id status created_at",
};

pub(super) async fn apply(
    tx: &mut Tx,
    at: &RecordedEvent,
    event: &Event,
) -> Result<(), ProjectionError> {
    match event {
        Event::Added {
            identity_provider_id,
            definition,
        } => {
            let sql = "SELECT 1 FROM identity_providers WHERE id = $1 AND status <> 'deleted'";
            let there = found(tx.connection()?, sql, identity_provider_id, |_| Ok(())).await?;
            there.ok_or(ProjectionError::Refused(PROVIDER_NOT_FOUND))?;
            write(tx, at, Some(*identity_provider_id), definition).await
        }
        Event::Changed { definition } => write(tx, at, None, definition).await,
        Event::Deleted => {
            let sql = "UPDATE client_types SET status = 'deleted', version = $2, updated_at = $3 WHERE id = $1";
            let values = cells![at.stream_id(), at.version, at.recorded_at.to_string()];
            Ok(tx.execute(sql, values).await?)
        }
    }
}

/// `provider`: of one that is added; it keeps it.
async fn write(
    tx: &mut Tx,
    at: &RecordedEvent,
    provider: Option<Uuid>,
    definition: &Definition,
) -> Result<(), ProjectionError> {
    let row = cells![
        at.stream_id(),
        provider.unwrap_or_default(),
        definition.name.clone(),
        definition.name.to_lowercase(),
        definition.description.clone(),
        serde_json::to_string(&definition.response_types)?,
        serde_json::to_string(&definition.grant_types)?,
        definition.token_endpoint_auth_method.clone(),
        definition.okta_application_type.clone(),
        "active",
        at.version,
        at.recorded_at.to_string(),
        at.recorded_at.to_string(),
    ];
    TABLE.write(tx, [row]).await?;
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
    found(pool, AssertSqlSafe(sql), id, read).await
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
pub(crate) async fn count_of_provider(
    database: impl Executor<'_, Database = Any>,
    provider: Uuid,
) -> Result<u64, sqlx::Error> {
    let sql =
        "SELECT COUNT(*) FROM client_types WHERE identity_provider_id = $1 AND status <> 'deleted'";
    count(database, sql, provider).await
}

fn read(row: &Row) -> Result<api::ClientType, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let list = |column: &str| json::<BTreeSet<String>>(&text(column)?);
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
