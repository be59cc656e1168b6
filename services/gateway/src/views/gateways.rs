//! The tables `gateways` and `gateway_apis`, and their queries.

use std::collections::BTreeMap;

use async_trait::async_trait;
use portico_eventstore::rows::{found, found_ids, id, json, parsed};
use portico_eventstore::sqlx::{self, Any, AnyPool, AssertSqlSafe, Executor, Row as _};
use portico_eventstore::{
    Change, Projection, ProjectionError, RecordedEvent, Row, Table, Tx, cells,
};
use portico_proto::{gateway::v1 as api, rest::Enumeration as _, time};
use portico_runtime::lists::{ListQuery, Select, SortColumns};
use uuid::Uuid;

use super::grants::{self, ApiLocation, ApiLocations};
use crate::gateway::{Event, Gateway};
use crate::mapping::{self, ApiMapping, Owned};

/// Rule: the names of gateways differ in more than upper and lower case.
pub(crate) const NAME_TAKEN: &str = "gateway_name_taken";

pub(crate) struct Gateways;

#[async_trait]
impl Projection for Gateways {
    fn tables(&self) -> &'static [&'static str] {
        &["gateways", "gateway_apis"]
    }

    async fn apply(&self, tx: &mut Tx, change: &Change<'_>) -> Result<(), ProjectionError> {
        for event in change.events {
            if let Some(change) = event.decode::<Gateway>()? {
                gateway(tx, event, &change).await?;
            } else if let Some(change) = event.decode::<ApiMapping>()? {
                owned(tx, event, &change).await?;
            }
        }
        Ok(())
    }
}

const TABLE: Table = Table {
    name: "gateways",
    key: "id",
    columns: "id name name_key type url org_id default_policy_id status version created_at updated_at",
    once: "status created_at",
};

async fn gateway(tx: &mut Tx, at: &RecordedEvent, event: &Event) -> Result<(), ProjectionError> {
    let id = at.stream_id();
    let recorded_at = at.recorded_at.to_string();
    let settings = match event {
        Event::Added { settings, .. } | Event::Changed { settings, .. } => settings,
        Event::Deleted => {
            let sql = "UPDATE gateways SET status = 'deleted', version = $2, updated_at = $3 WHERE id = $1";
            tx.execute(sql, cells![id, at.version, recorded_at]).await?;
            let sql = "DELETE FROM gateway_apis WHERE gateway_id = $1";
            return Ok(tx.execute(sql, cells![id]).await?);
        }
    };
    if name_taken(tx.connection()?, &settings.name, id).await? {
        return Err(ProjectionError::Refused(NAME_TAKEN));
    }
    let row = cells![
        id,
        settings.name.clone(),
        settings.name.to_lowercase(),
        settings.kind.clone(),
        settings.url.clone(),
        settings.org_id.clone(),
        settings.default_policy_id.clone(),
        "active",
        at.version,
        recorded_at.clone(),
        recorded_at,
    ];
    TABLE.write(tx, [row]).await?;
    Ok(())
}

async fn owned(
    tx: &mut Tx,
    at: &RecordedEvent,
    event: &mapping::Event,
) -> Result<(), ProjectionError> {
    match event {
        mapping::Event::Intended {
            gateway_id,
            api_id,
            identity_provider_id,
            owned,
        } => {
            tx.execute(
                "INSERT INTO gateway_apis (gateway_id, api_id, stream_id, identity_provider_id, owned, settled) \
                 VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT (gateway_id, api_id) DO UPDATE SET \
                 identity_provider_id = excluded.identity_provider_id, owned = excluded.owned, settled = 0",
                cells![
                    *gateway_id,
                    api_id.clone(),
                    at.stream_id(),
                    *identity_provider_id,
                    serde_json::to_string(owned)?
                ],
            )
            .await?;
        }
        mapping::Event::Settled { owned } => {
            let sql = "UPDATE gateway_apis SET owned = $2, settled = 1 WHERE stream_id = $1";
            let values = cells![at.stream_id(), serde_json::to_string(owned)?];
            tx.execute(sql, values).await?;
        }
    }
    Ok(())
}

const COLUMNS: &str =
    "id, name, type, url, org_id, default_policy_id, status, version, created_at, updated_at";

/// A gateway that is there.
pub(crate) async fn get(pool: &AnyPool, id: Uuid) -> Result<Option<api::Gateway>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM gateways WHERE id = $1 AND status <> 'deleted'");
    found(pool, AssertSqlSafe(sql), id, read).await
}

/// What gateways are listed by.
pub(crate) const SORT: SortColumns = SortColumns::BY_NAME;

/// Gateways that are there, and the cursor of the next page.
pub(crate) async fn list(
    pool: &AnyPool,
    query: &ListQuery,
) -> Result<(Vec<api::Gateway>, String), sqlx::Error> {
    let select = Select::new(COLUMNS, "gateways WHERE status <> 'deleted'");
    let (rows, next) = select.page(pool, query).await?;
    let gateways: Result<Vec<_>, _> = rows.iter().map(read).collect();
    Ok((gateways?, next))
}

/// Whether another gateway has this name, in upper or lower case.
pub(crate) async fn name_taken(
    database: impl Executor<'_, Database = Any>,
    name: &str,
    id: Uuid,
) -> Result<bool, sqlx::Error> {
    sqlx::query("SELECT 1 FROM gateways WHERE name_key = $1 AND id <> $2 AND status <> 'deleted'")
        .bind(name.to_lowercase())
        .bind(id.to_string())
        .fetch_optional(database)
        .await
        .map(|row| row.is_some())
}

/// Whether a gateway is configured.
pub(crate) async fn is_any(pool: &AnyPool) -> Result<bool, sqlx::Error> {
    sqlx::query("SELECT 1 FROM gateways WHERE status <> 'deleted' LIMIT 1")
        .fetch_optional(pool)
        .await
        .map(|row| row.is_some())
}

/// The gateways there are, and where APIs are mapped.
pub(crate) async fn places(pool: &AnyPool) -> Result<ApiLocations, sqlx::Error> {
    let mut places = ApiLocations::default();
    let sql = "SELECT id FROM gateways WHERE status <> 'deleted' ORDER BY id";
    places.gateways = found_ids(pool, sql, []).await?;
    let apis = sqlx::query("SELECT gateway_id, api_id FROM gateway_apis");
    for row in &apis.fetch_all(pool).await? {
        let at = places.mapped.entry(row.try_get("api_id")?).or_default();
        at.insert(id(row)?);
    }
    Ok(places)
}

/// What is recorded of one API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) identity_provider_id: Option<Uuid>,
    pub(crate) owned: Owned,
    /// Whether that is certain.
    pub(crate) settled: bool,
}

/// What is recorded of the APIs of a gateway.
pub(crate) async fn recorded(
    pool: &AnyPool,
    gateway: Uuid,
) -> Result<BTreeMap<String, Recorded>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT api_id, identity_provider_id, owned, settled FROM gateway_apis WHERE gateway_id = $1",
    )
    .bind(gateway.to_string())
    .fetch_all(pool)
    .await?;
    let mut recorded = BTreeMap::new();
    for row in &rows {
        let provider: Option<String> = row.try_get("identity_provider_id")?;
        let one = Recorded {
            identity_provider_id: provider.as_deref().map(parsed).transpose()?,
            owned: json(row.try_get("owned")?)?,
            settled: row.try_get::<i64, _>("settled")? != 0,
        };
        recorded.insert(row.try_get("api_id")?, one);
    }
    Ok(recorded)
}

/// Gateways that let tokens of an identity provider through.
pub(crate) async fn of_provider(pool: &AnyPool, provider: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    let sql = "SELECT DISTINCT gateway_id FROM gateway_apis WHERE identity_provider_id = $1 ORDER BY gateway_id";
    found_ids(pool, sql, [provider.to_string()]).await
}

/// How many approved items of requests need a gateway.
pub(crate) async fn uses(pool: &AnyPool, gateway: Uuid) -> Result<u64, sqlx::Error> {
    let places = places(pool).await?;
    let grants = grants::all(pool).await?;
    let here = grants.iter().filter(|grant| {
        grant
            .apis
            .iter()
            .any(|api| places.of(api) == ApiLocation::At(gateway))
    });
    Ok(here.map(|grant| grant.count).sum())
}

/// The name of a gateway, also of one that was deleted; empty where there never was one.
pub(crate) async fn name(pool: &AnyPool, gateway: Uuid) -> Result<String, sqlx::Error> {
    let sql = "SELECT name FROM gateways WHERE id = $1";
    let name = found(pool, sql, gateway, |row| row.try_get(0)).await?;
    Ok(name.unwrap_or_default())
}

fn read(row: &Row) -> Result<api::Gateway, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let given = |column| Ok::<_, sqlx::Error>(Some(text(column)?).filter(|text| !text.is_empty()));
    let kind = api::GatewayType::from_word(&text("type")?);
    let status = api::GatewayStatus::from_word(&text("status")?);
    Ok(api::Gateway {
        id: text("id")?,
        name: text("name")?,
        r#type: kind.unwrap_or_default().into(),
        url: text("url")?,
        // It is in the vault, and never answered.
        secret: String::new(),
        org_id: given("org_id")?,
        default_policy_id: given("default_policy_id")?,
        status: status.unwrap_or_default().into(),
        version: row.try_get::<i64, _>("version")?.unsigned_abs(),
        created_at: time::parse(&text("created_at")?),
        updated_at: time::parse(&text("updated_at")?),
    })
}
