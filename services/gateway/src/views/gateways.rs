//! The tables `gateways` and `gateway_apis`, and their queries.

use std::collections::BTreeMap;

use async_trait::async_trait;
use portico_eventstore::rows::{id, ids, json, parsed};
use portico_eventstore::sqlx::{self, AnyConnection, AnyPool, AssertSqlSafe, Row as _};
use portico_eventstore::{Change, Projection, ProjectionError, RecordedEvent, Row};
use portico_proto::{gateway::v1 as api, rest::Enumeration as _, time};
use portico_runtime::lists::{ListQuery, Select, SortColumns};
use uuid::Uuid;

use super::grants::{self, ApiLocation, ApiLocations};
use crate::gateway::{Event, Gateway, Settings};
use crate::mapping::{self, ApiMapping, Owned};

/// Rule: the names of gateways differ in more than upper and lower case.
pub(crate) const NAME_TAKEN: &str = "gateway_name_taken";

pub(crate) struct Gateways;

#[async_trait]
impl Projection for Gateways {
    fn tables(&self) -> &'static [&'static str] {
        &["gateways", "gateway_apis"]
    }

    async fn apply(
        &self,
        tx: &mut AnyConnection,
        change: &Change<'_>,
    ) -> Result<(), ProjectionError> {
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

async fn gateway(
    tx: &mut AnyConnection,
    at: &RecordedEvent,
    event: &Event,
) -> Result<(), ProjectionError> {
    let id = at.stream_id().to_string();
    match event {
        Event::Added { settings, .. } => {
            sqlx::query(
                "INSERT INTO gateways (id, name, name_key, type, url, org_id, default_policy_id, status, \
                 version, created_at, updated_at) VALUES ($1, '', $2, '', '', '', '', 'active', 0, $3, $3)",
            )
            .bind(id.clone())
            // No name yet, and no other gateway has this one.
            .bind(id.clone())
            .bind(at.recorded_at.to_string())
            .execute(&mut *tx)
            .await?;
            write_settings(tx, &id, settings).await?;
        }
        Event::Changed { settings, .. } => write_settings(tx, &id, settings).await?,
        Event::Deleted => {
            for sql in [
                "UPDATE gateways SET status = 'deleted' WHERE id = $1",
                "DELETE FROM gateway_apis WHERE gateway_id = $1",
            ] {
                sqlx::query(sql).bind(id.clone()).execute(&mut *tx).await?;
            }
        }
    }
    sqlx::query("UPDATE gateways SET version = $2, updated_at = $3 WHERE id = $1")
        .bind(id)
        .bind(at.version)
        .bind(at.recorded_at.to_string())
        .execute(tx)
        .await?;
    Ok(())
}

async fn write_settings(
    tx: &mut AnyConnection,
    id: &str,
    settings: &Settings,
) -> Result<(), ProjectionError> {
    let name_key = settings.name.to_lowercase();
    let taken = sqlx::query(
        "SELECT 1 FROM gateways WHERE name_key = $1 AND id <> $2 AND status <> 'deleted'",
    )
    .bind(name_key.clone())
    .bind(id.to_owned())
    .fetch_optional(&mut *tx)
    .await?;
    if taken.is_some() {
        return Err(ProjectionError::Refused(NAME_TAKEN));
    }
    sqlx::query(
        "UPDATE gateways SET name = $2, name_key = $3, type = $4, url = $5, org_id = $6, \
         default_policy_id = $7 WHERE id = $1",
    )
    .bind(id.to_owned())
    .bind(settings.name.clone())
    .bind(name_key)
    .bind(settings.kind.clone())
    .bind(settings.url.clone())
    .bind(settings.org_id.clone())
    .bind(settings.default_policy_id.clone())
    .execute(tx)
    .await?;
    Ok(())
}

async fn owned(
    tx: &mut AnyConnection,
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
            sqlx::query(
                "INSERT INTO gateway_apis (gateway_id, api_id, stream_id, identity_provider_id, owned, settled) \
                 VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT (gateway_id, api_id) DO UPDATE SET \
                 identity_provider_id = excluded.identity_provider_id, owned = excluded.owned, settled = 0",
            )
            .bind(gateway_id.to_string())
            .bind(api_id.clone())
            .bind(at.stream_id().to_string())
            .bind(identity_provider_id.map(|id| id.to_string()))
            .bind(serde_json::to_string(owned)?)
            .execute(tx)
            .await?;
        }
        mapping::Event::Settled { owned } => {
            sqlx::query("UPDATE gateway_apis SET owned = $2, settled = 1 WHERE stream_id = $1")
                .bind(at.stream_id().to_string())
                .bind(serde_json::to_string(owned)?)
                .execute(tx)
                .await?;
        }
    }
    Ok(())
}

const COLUMNS: &str =
    "id, name, type, url, org_id, default_policy_id, status, version, created_at, updated_at";

/// A gateway that is there.
pub(crate) async fn get(pool: &AnyPool, id: Uuid) -> Result<Option<api::Gateway>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM gateways WHERE id = $1 AND status <> 'deleted'");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?;
    row.as_ref().map(read).transpose()
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
pub(crate) async fn name_taken(pool: &AnyPool, name: &str, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query("SELECT 1 FROM gateways WHERE name_key = $1 AND id <> $2 AND status <> 'deleted'")
        .bind(name.to_lowercase())
        .bind(id.to_string())
        .fetch_optional(pool)
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
    let gateways = sqlx::query("SELECT id FROM gateways WHERE status <> 'deleted' ORDER BY id");
    for row in &gateways.fetch_all(pool).await? {
        places.gateways.push(id(row)?);
    }
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
    let rows = sqlx::query(
        "SELECT DISTINCT gateway_id FROM gateway_apis WHERE identity_provider_id = $1 ORDER BY gateway_id",
    )
    .bind(provider.to_string())
    .fetch_all(pool)
    .await?;
    ids(&rows)
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
    let row = sqlx::query("SELECT name FROM gateways WHERE id = $1")
        .bind(gateway.to_string())
        .fetch_optional(pool)
        .await?;
    row.map_or(Ok(String::new()), |row| row.try_get(0))
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
