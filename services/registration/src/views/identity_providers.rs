//! The table `identity_providers` and its queries.

use portico_eventstore::rows::{found, found_ids, json};
use portico_eventstore::sqlx::{self, Any, AnyPool, AssertSqlSafe, Executor, Row as _};
use portico_eventstore::{ProjectionError, RecordedEvent, Row, Table, Tx, cells};
use portico_runtime::lists::{ListQuery, Search, Select, SortColumns};
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::client_types::count_of_provider;
use super::providers::{NAME_TAKEN, PROVIDER_IN_USE};
use crate::identity_provider::{
    Event, Location, ManagementRef, Method, Options, ProviderType, Settings,
};

const TABLE: Table = Table {
    name: "identity_providers",
    key: "id",
    columns: "id type name name_key well_known_url scope_claim skip_tls_verify management_client_id endpoints more \
        has_initial_access_token rotates_days_before status status_reason version created_at updated_at",
    once: "type has_initial_access_token rotates_days_before status status_reason created_at",
};

pub(super) async fn apply(
    tx: &mut Tx,
    at: &RecordedEvent,
    event: &Event,
) -> Result<(), ProjectionError> {
    let id = at.stream_id().to_string();
    match event {
        Event::Added {
            settings,
            initial_access_token,
        } => {
            write_settings(tx, at, settings).await?;
            write_token(tx, &id, initial_access_token.is_some()).await?;
        }
        Event::Changed { settings } => write_settings(tx, at, settings).await?,
        Event::TokenReplaced {
            initial_access_token,
        } => write_token(tx, &id, initial_access_token.is_some()).await?,
        Event::Paused { reason } => write_status(tx, &id, "paused", reason).await?,
        Event::RotationSet { days_before } => {
            let sql = "UPDATE identity_providers SET rotates_days_before = $2 WHERE id = $1";
            tx.execute(sql, cells![id.as_str(), i64::from(*days_before)])
                .await?;
        }
        Event::Resumed => write_status(tx, &id, "active", "").await?,
        Event::Deleted => {
            if count_of_provider(tx.connection()?, at.stream_id()).await? > 0 {
                return Err(ProjectionError::Refused(PROVIDER_IN_USE));
            }
            write_status(tx, &id, "deleted", "").await?;
        }
    }
    let sql = "UPDATE identity_providers SET version = $2, updated_at = $3 WHERE id = $1";
    let values = cells![id, at.version, at.recorded_at.to_string()];
    Ok(tx.execute(sql, values).await?)
}

/// What settings do not say is as it is when a provider is added, and stays.
async fn write_settings(
    tx: &mut Tx,
    at: &RecordedEvent,
    settings: &Settings,
) -> Result<(), ProjectionError> {
    if name_taken(tx.connection()?, &settings.name, at.stream_id()).await? {
        return Err(ProjectionError::Refused(NAME_TAKEN));
    }
    let (location, managed) = (&settings.location, settings.management.as_ref());
    let row = cells![
        at.stream_id(),
        settings.kind.to_string(),
        settings.name.clone(),
        settings.name.to_lowercase(),
        location.well_known_url.clone(),
        settings.scope_claim.clone(),
        location.skip_tls_verify,
        managed.map_or_else(String::new, |stored| stored.client_id.clone()),
        serde_json::to_string(&location.endpoints)?,
        serde_json::to_string(&More::of(settings))?,
        false,
        0_i64,
        "active",
        "",
        at.version,
        at.recorded_at.to_string(),
        at.recorded_at.to_string(),
    ];
    TABLE.write(tx, [row]).await?;
    Ok(())
}

/// The column `more`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct More {
    authorization: Option<Method>,
    options: Options,
    trusted_certificates: String,
    has_software_statement: bool,
}

impl More {
    fn of(settings: &Settings) -> Self {
        Self {
            authorization: settings.authorization,
            options: settings.options.clone(),
            trusted_certificates: settings.location.trusted_certificates.clone(),
            has_software_statement: settings.software_statement.is_some(),
        }
    }
}

async fn write_token(tx: &mut Tx, id: &str, there: bool) -> Result<(), sqlx::Error> {
    let sql = "UPDATE identity_providers SET has_initial_access_token = $2 WHERE id = $1";
    tx.execute(sql, cells![id, there]).await
}

async fn write_status(
    tx: &mut Tx,
    id: &str,
    status: &'static str,
    reason: &str,
) -> Result<(), sqlx::Error> {
    let sql = "UPDATE identity_providers SET status = $2, status_reason = $3 WHERE id = $1";
    tx.execute(sql, cells![id, status, reason]).await
}

const COLUMNS: &str = "id, name, type, well_known_url, has_initial_access_token, scope_claim, skip_tls_verify, \
                       endpoints, status, status_reason, version, created_at, updated_at, management_client_id, more, \
                       rotates_days_before";

/// What providers can be sorted by.
pub(crate) const SORT: SortColumns = SortColumns::BY_NAME;

/// A provider's row. Where its secrets are is not in it: nil references stand for those that there are.
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) settings: Settings,
    pub(crate) has_token: bool,
    pub(crate) status: String,
    pub(crate) status_reason: String,
    pub(crate) rotates_days_before: u32,
    pub(crate) version: u64,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// Providers that OAuth clients are registered at, or may be.
pub(crate) async fn in_use(pool: &AnyPool) -> Result<Vec<Uuid>, sqlx::Error> {
    let sql = "SELECT id FROM identity_providers p WHERE status <> 'deleted' AND EXISTS \
               (SELECT 1 FROM oauth_clients c WHERE c.identity_provider_id = p.id AND c.live = 1) ORDER BY id";
    found_ids(pool, sql, []).await
}

/// A provider, unless it is deleted.
pub(crate) async fn get(pool: &AnyPool, id: Uuid) -> Result<Option<Listed>, sqlx::Error> {
    let sql =
        format!("SELECT {COLUMNS} FROM identity_providers WHERE id = $1 AND status <> 'deleted'");
    found(pool, AssertSqlSafe(sql), id, read).await
}

/// Providers that are there, and the cursor of the next page.
pub(crate) async fn list(
    pool: &AnyPool,
    query: &ListQuery,
    search: &Search,
) -> Result<(Vec<Listed>, String), sqlx::Error> {
    let mut select = Select::new(COLUMNS, "identity_providers WHERE status <> 'deleted'");
    select.and_found_in(&["name_key"], search);
    let (rows, next) = select.page(pool, query).await?;
    let providers = rows.iter().map(read).collect::<Result<_, _>>()?;
    Ok((providers, next))
}

/// Whether another provider has this name, in upper or lower case.
pub(crate) async fn name_taken(
    database: impl Executor<'_, Database = Any>,
    name: &str,
    id: Uuid,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "SELECT 1 FROM identity_providers WHERE name_key = $1 AND id <> $2 AND status <> 'deleted'",
    )
    .bind(name.to_lowercase())
    .bind(id.to_string())
    .fetch_optional(database)
    .await
    .map(|row| row.is_some())
}

fn read(row: &Row) -> Result<Listed, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let number = |column: &str| row.try_get::<i64, _>(column);
    Ok(Listed {
        id: text("id")?,
        settings: read_settings(row)?,
        has_token: number("has_initial_access_token")? != 0,
        status: text("status")?,
        status_reason: text("status_reason")?,
        rotates_days_before: u32::try_from(number("rotates_days_before")?).unwrap_or_default(),
        version: number("version")?.unsigned_abs(),
        created_at: text("created_at")?,
        updated_at: text("updated_at")?,
    })
}

fn read_settings(row: &Row) -> Result<Settings, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let more: More = json(&text("more")?)?;
    let management = text("management_client_id")?;
    let statement = more.has_software_statement;
    Ok(Settings {
        name: text("name")?,
        kind: ProviderType::new(&text("type")?),
        location: Location {
            well_known_url: text("well_known_url")?,
            skip_tls_verify: row.try_get::<i64, _>("skip_tls_verify")? != 0,
            trusted_certificates: more.trusted_certificates,
            endpoints: json(&text("endpoints")?)?,
        },
        scope_claim: text("scope_claim")?,
        management: (!management.is_empty()).then(|| ManagementRef::unknown(management)),
        authorization: more.authorization,
        options: more.options,
        software_statement: statement.then_some(VaultRef(Uuid::nil())),
    })
}
