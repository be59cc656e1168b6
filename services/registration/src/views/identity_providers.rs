//! The table `identity_providers` and its queries.

use portico_eventstore::sqlx::{self, AnyConnection, AnyPool, AssertSqlSafe, Row as _};
use portico_eventstore::{ProjectionError, RecordedEvent, Row, rows};
use portico_proto::registration::v1 as api;
use portico_runtime::lists::{ListQuery, Search, Select, SortColumns};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::providers::{NAME_TAKEN, PROVIDER_IN_USE, refuse_where};
use crate::identity_provider::{
    Endpoints, Event, IN_BODY, Location, ManagementRef, Method, Options, ProviderType, Settings,
};

pub(super) async fn apply(
    tx: &mut AnyConnection,
    at: &RecordedEvent,
    event: &Event,
) -> Result<(), ProjectionError> {
    let id = at.stream_id().to_string();
    match event {
        Event::Added {
            settings,
            initial_access_token,
        } => {
            sqlx::query(
                "INSERT INTO identity_providers (id, name, name_key, type, well_known_url, scope_claim, \
                 skip_tls_verify, has_initial_access_token, management_client_id, endpoints, more, \
                 rotates_days_before, status, status_reason, version, created_at, updated_at) \
                 VALUES ($1, '', '', $2, '', '', 0, $3, '', '{}', '{}', 0, 'active', '', 0, $4, $4)",
            )
            .bind(id)
            .bind(settings.kind.to_string())
            .bind(i64::from(initial_access_token.is_some()))
            .bind(at.recorded_at.to_string())
            .execute(&mut *tx)
            .await?;
            write_settings(tx, at, settings).await?;
        }
        Event::Changed { settings } => write_settings(tx, at, settings).await?,
        Event::TokenReplaced {
            initial_access_token,
        } => {
            sqlx::query(
                "UPDATE identity_providers SET has_initial_access_token = $2 WHERE id = $1",
            )
            .bind(id)
            .bind(i64::from(initial_access_token.is_some()))
            .execute(&mut *tx)
            .await?;
        }
        Event::Paused { reason } => write_status(tx, id, "paused", reason).await?,
        Event::RotationSet { days_before } => {
            sqlx::query("UPDATE identity_providers SET rotates_days_before = $2 WHERE id = $1")
                .bind(id)
                .bind(i64::from(*days_before))
                .execute(&mut *tx)
                .await?;
        }
        Event::Resumed => write_status(tx, id, "active", "").await?,
        Event::Deleted => {
            let sql = "SELECT 1 FROM client_types WHERE identity_provider_id = $1 AND status <> $2";
            let values = [id.clone(), "deleted".to_owned()];
            refuse_where(tx, sql, values, PROVIDER_IN_USE).await?;
            write_status(tx, id, "deleted", "").await?;
        }
    }
    sqlx::query("UPDATE identity_providers SET version = $2, updated_at = $3 WHERE id = $1")
        .bind(at.stream_id().to_string())
        .bind(at.version)
        .bind(at.recorded_at.to_string())
        .execute(tx)
        .await?;
    Ok(())
}

async fn write_settings(
    tx: &mut AnyConnection,
    at: &RecordedEvent,
    settings: &Settings,
) -> Result<(), ProjectionError> {
    let id = at.stream_id().to_string();
    let name_key = settings.name.to_lowercase();
    let sql =
        "SELECT 1 FROM identity_providers WHERE name_key = $1 AND id <> $2 AND status <> 'deleted'";
    refuse_where(tx, sql, [name_key.clone(), id.clone()], NAME_TAKEN).await?;
    let management = settings.management.as_ref();
    sqlx::query(
        "UPDATE identity_providers SET name = $2, name_key = $3, well_known_url = $4, scope_claim = $5, \
         skip_tls_verify = $6, management_client_id = $7, endpoints = $8, more = $9 WHERE id = $1",
    )
    .bind(id)
    .bind(settings.name.clone())
    .bind(name_key)
    .bind(settings.location.well_known_url.clone())
    .bind(settings.scope_claim.clone())
    .bind(i64::from(settings.location.skip_tls_verify))
    .bind(management.map_or_else(String::new, |stored| stored.client_id.clone()))
    .bind(serde_json::to_string(&settings.location.endpoints)?)
    .bind(serde_json::to_string(&More::of(settings))?)
    .execute(tx)
    .await?;
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

async fn write_status(
    tx: &mut AnyConnection,
    id: String,
    status: &'static str,
    reason: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE identity_providers SET status = $2, status_reason = $3 WHERE id = $1")
        .bind(id)
        .bind(status)
        .bind(reason.to_owned())
        .execute(tx)
        .await
        .map(|_| ())
}

const COLUMNS: &str = "id, name, type, well_known_url, has_initial_access_token, scope_claim, skip_tls_verify, \
                       endpoints, status, status_reason, version, created_at, updated_at, management_client_id, more, \
                       rotates_days_before";

/// What providers can be sorted by.
pub(crate) const SORT: SortColumns = SortColumns::BY_NAME;

/// A provider as the API has it, less what its driver makes of the settings; and those.
pub(crate) struct Listed {
    pub(crate) provider: api::IdentityProvider,
    pub(crate) settings: Settings,
    pub(crate) has_token: bool,
}

/// Providers that OAuth clients are registered at, or may be.
pub(crate) async fn in_use(pool: &AnyPool) -> Result<Vec<Uuid>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id FROM identity_providers p WHERE status <> 'deleted' AND EXISTS \
         (SELECT 1 FROM oauth_clients c WHERE c.identity_provider_id = p.id AND c.live = 1) ORDER BY id",
    )
    .fetch_all(pool)
    .await?;
    rows::ids(&rows)
}

/// A provider, deleted or not.
pub(crate) async fn get(pool: &AnyPool, id: Uuid) -> Result<Option<Listed>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM identity_providers WHERE id = $1");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?;
    row.as_ref().map(read).transpose()
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
pub(crate) async fn name_taken(pool: &AnyPool, name: &str, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "SELECT 1 FROM identity_providers WHERE name_key = $1 AND id <> $2 AND status <> 'deleted'",
    )
    .bind(name.to_lowercase())
    .bind(id.to_string())
    .fetch_optional(pool)
    .await
    .map(|row| row.is_some())
}

fn read(row: &Row) -> Result<Listed, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let number = |column: &str| row.try_get::<i64, _>(column);
    let endpoints: Endpoints = rows::json(&text("endpoints")?)?;
    let more: More = rows::json(&text("more")?)?;
    let kind = text("type")?;
    let has_token = number("has_initial_access_token")? != 0;
    let settings = Settings {
        name: text("name")?,
        kind: ProviderType::new(&kind),
        scope_claim: text("scope_claim")?,
        management: Some(text("management_client_id")?)
            .filter(|id| !id.is_empty())
            .map(ManagementRef::unknown),
        location: Location {
            well_known_url: text("well_known_url")?,
            skip_tls_verify: number("skip_tls_verify")? != 0,
            trusted_certificates: more.trusted_certificates,
            endpoints,
        },
        authorization: more.authorization,
        options: more.options,
        software_statement: None,
    };
    let Settings {
        name,
        scope_claim,
        location,
        options,
        management,
        ..
    } = settings.clone();
    let endpoints = location.endpoints;
    let provider = api::IdentityProvider {
        id: text("id")?,
        name,
        r#type: kind,
        well_known_url: location.well_known_url,
        scope_claim,
        skip_tls_verify: location.skip_tls_verify,
        issuer: endpoints.issuer,
        registration_endpoint: endpoints.registration_endpoint.into(),
        token_endpoint: endpoints.token_endpoint.into(),
        jwks_uri: endpoints.jwks_uri.map(Into::into).unwrap_or_default(),
        scopes_supported: endpoints.scopes_supported,
        status: text("status")?,
        status_reason: text("status_reason")?,
        version: u64::try_from(number("version")?).unwrap_or_default(),
        created_at: text("created_at")?,
        updated_at: text("updated_at")?,
        management_client_id: text("management_client_id")?,
        management_scope: options.management_scope,
        management_audience: options.management_audience,
        management_auth_method: match (options.management_in_body, management) {
            (_, None) => String::new(),
            (true, _) => IN_BODY.to_owned(),
            (false, _) => "client_secret_basic".to_owned(),
        },
        trusted_certificates: location.trusted_certificates,
        allowed_origins: endpoints.allowed_origins,
        registration_endpoint_override: endpoints
            .registration_endpoint_override
            .map(Into::into)
            .unwrap_or_default(),
        api_audience: options.api_audience,
        client_template: options.client_template,
        has_software_statement: more.has_software_statement,
        rotate_secrets_days_before: u32::try_from(number("rotates_days_before")?).unwrap_or(0),
        ..Default::default()
    };
    Ok(Listed {
        provider,
        settings,
        has_token,
    })
}
