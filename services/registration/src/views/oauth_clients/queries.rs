//! Queries on OAuth clients.

use jiff::Timestamp;
use portico_eventstore::Row;
use portico_eventstore::rows::{found, found_ids, id, json};
use portico_eventstore::sqlx::{self, AnyPool, Row as _};
use portico_proto::{registration::v1 as api, time};
use portico_runtime::Page;
use uuid::Uuid;

use crate::client_metadata::Difference;
use crate::oauth_client::OauthClient;
use crate::wire::{self, given};

/// Clients that wait for their provider and need not any more: it takes registrations again, or it was changed
/// since they were parked.
pub(crate) async fn resumable(pool: &AnyPool, now: Timestamp) -> Result<Vec<Uuid>, sqlx::Error> {
    // Two queries, so that each finds its own small index.
    let rows = sqlx::query(
        "SELECT c.id, c.paused, c.parked_at_ms, p.updated_at FROM oauth_clients c \
         JOIN identity_providers p ON p.id = c.identity_provider_id WHERE c.paused = 1 AND p.status = 'active' \
         UNION ALL \
         SELECT c.id, c.paused, c.parked_at_ms, p.updated_at FROM oauth_clients c \
         JOIN identity_providers p ON p.id = c.identity_provider_id \
         WHERE c.parked_at_ms IS NOT NULL AND c.paused = 0 AND p.status = 'active'",
    )
    .fetch_all(pool)
    .await?;
    let mut resumable = Vec::new();
    for row in &rows {
        let paused = row.try_get::<i64, _>("paused")? != 0;
        let changed: String = row.try_get("updated_at")?;
        let parked: Option<i64> = row.try_get("parked_at_ms")?;
        let changed_since = changed
            .parse::<Timestamp>()
            // A change by a clock that is ahead counts once this one shows its time: before that, a refusal now would
            // never be later than it.
            .is_ok_and(|changed| {
                changed <= now && parked.is_some_and(|at| changed.as_millisecond() > at)
            });
        if paused || changed_since {
            resumable.push(id(row)?);
        }
    }
    Ok(resumable)
}

/// Whether the provider is known to give what is needed to manage clients (RFC 7592).
pub(crate) async fn manages(pool: &AnyPool, provider: Uuid) -> Result<bool, sqlx::Error> {
    let sql =
        "SELECT 1 FROM oauth_clients WHERE identity_provider_id = $1 AND manageable = 1 LIMIT 1";
    let managed = found(pool, sql, provider, |_| Ok(())).await?;
    Ok(managed.is_some())
}

/// The streams of an application's clients.
pub(crate) async fn streams_of_application(
    pool: &AnyPool,
    application: Uuid,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let sql = "SELECT id FROM oauth_clients WHERE application_id = $1 ORDER BY id";
    found_ids(pool, sql, [application.to_string()]).await
}

/// Registered clients of a client type, also as one of several.
pub(crate) async fn streams_of_type(
    pool: &AnyPool,
    provider: Uuid,
    client_type: Uuid,
) -> Result<Vec<Uuid>, sqlx::Error> {
    // The first type has a column; a client of several has the others in its state only.
    let sql = "SELECT id FROM oauth_clients WHERE identity_provider_id = $1 AND live = 1 \
               AND (client_type_id = $2 OR state LIKE $3) ORDER BY id";
    let also = format!("%\"{client_type}\"%");
    let values = [provider.to_string(), client_type.to_string(), also];
    found_ids(pool, sql, values).await
}

/// Clients at a provider that wait, were parked, or cannot be taken away.
pub(crate) async fn waiting_at(pool: &AnyPool, provider: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    let sql = "SELECT id FROM oauth_clients WHERE identity_provider_id = $1 \
               AND (parked_at_ms IS NOT NULL OR next_try_at <> '' OR paused = 1) ORDER BY id";
    found_ids(pool, sql, [provider.to_string()]).await
}

/// A registered client, for comparing it with its provider.
pub(crate) struct Registered {
    pub(crate) id: Uuid,
    pub(crate) application_id: String,
    pub(crate) provider_id: String,
    pub(crate) provider_name: String,
}

/// Registered clients by id, of one provider or of all, and the cursor of the next page.
pub(crate) async fn registered(
    pool: &AnyPool,
    provider: &str,
    page: &Page,
) -> Result<(Vec<Registered>, String), sqlx::Error> {
    let (_, after) = page.after.clone().unwrap_or_default();
    let rows = sqlx::query(
        "SELECT c.id, c.application_id, c.identity_provider_id, COALESCE(p.name, '') AS provider_name \
         FROM oauth_clients c LEFT JOIN identity_providers p ON p.id = c.identity_provider_id \
         WHERE c.client_id <> '' AND c.id > $1 AND ($2 = '' OR c.identity_provider_id = $2) ORDER BY c.id LIMIT $3",
    )
    .bind(after)
    .bind(provider.to_owned())
    .bind(page.fetch())
    .fetch_all(pool)
    .await?;
    let mut found = Vec::new();
    for row in &rows {
        found.push(Registered {
            id: id(row)?,
            application_id: row.try_get("application_id")?,
            provider_id: row.try_get("identity_provider_id")?,
            provider_name: row.try_get("provider_name")?,
        });
    }
    Ok(page.cut(found, |one| (String::new(), one.id.to_string())))
}

/// A client as the API has it, and its state.
pub(crate) struct Listed {
    pub(crate) client: api::OauthClient,
    pub(crate) state: OauthClient,
    pub(crate) issuer: String,
}

pub(crate) async fn by_id(pool: &AnyPool, id: Uuid) -> Result<Option<Listed>, sqlx::Error> {
    let sql = sqlx::AssertSqlSafe(format!("{LISTED} WHERE c.id = $1"));
    found(pool, sql, id, listed).await
}

const LISTED: &str = "SELECT c.id, c.application_id, c.identity_provider_id, c.client_type_id, c.client_id, c.status, \
                      c.wanted_scopes, c.scopes, c.differences, c.last_error, c.next_try_at, c.state, c.created_at, \
                      c.updated_at, COALESCE(p.name, '') AS provider_name, COALESCE(p.endpoints, '') AS endpoints \
                      FROM oauth_clients c LEFT JOIN identity_providers p ON p.id = c.identity_provider_id";

/// The clients of an application, by provider. A revocation that came before its approval made no client.
pub(crate) async fn of_application(
    pool: &AnyPool,
    application: Uuid,
) -> Result<Vec<Listed>, sqlx::Error> {
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "{LISTED} WHERE c.application_id = $1 ORDER BY c.created_at, c.id"
    )))
    .bind(application.to_string())
    .fetch_all(pool)
    .await?
    .iter()
    .map(listed)
    .collect()
}

fn listed(row: &Row) -> Result<Listed, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let endpoints: serde_json::Value =
        serde_json::from_str(&text("endpoints")?).unwrap_or_default();
    let endpoint = |member: &str| {
        let value = endpoints.get(member).and_then(serde_json::Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let differences: Vec<Difference> = json(&text("differences")?)?;
    let state: OauthClient = json(&text("state")?)?;
    let answer = state.live().map(|live| &live.answer);
    let old_secret_error = old_secret_not_ended(&state);
    Ok(Listed {
        client: api::OauthClient {
            id: text("id")?,
            application_id: text("application_id")?,
            identity_provider_id: text("identity_provider_id")?,
            identity_provider_name: text("provider_name")?,
            client_id: given(text("client_id")?),
            status: wire::word::<api::OauthClientStatus>(&text("status")?),
            wanted_scopes: json(&text("wanted_scopes")?)?,
            scopes: json(&text("scopes")?)?,
            token_endpoint: endpoint("token_endpoint"),
            differences: self::differences(differences),
            last_error: given(text("last_error")?),
            next_try_at: time::parse(&text("next_try_at")?),
            client_type_id: given(text("client_type_id")?),
            created_at: time::parse(&text("created_at")?),
            updated_at: time::parse(&text("updated_at")?),
            client_secret_expires_at: answer
                .and_then(|answer| wire::expiry(answer.secret_expires_at)),
            old_secret_valid_until: old_secret_valid_until(&state),
            old_secret_error,
            has_registration_access_token: answer.is_some_and(|answer| answer.rat_ref.is_some()),
            warnings: answer.map_or_else(Vec::new, |answer| answer.warnings.clone()),
            redirect_urls: Vec::new(),
        },
        state,
        issuer: endpoint("issuer"),
    })
}

/// `None` where only the newest secret works.
pub(crate) fn old_secret_valid_until(state: &OauthClient) -> Option<time::Timestamp> {
    let old = state.old_secret();
    old.map(|old| time::to_proto(old.valid_until))
}

/// Why the provider has not ended the old secret; `None` where it was not asked, or has.
fn old_secret_not_ended(state: &OauthClient) -> Option<String> {
    let problem = state.old_secret().and_then(|old| old.not_ended.as_ref());
    problem.map(|problem| problem.reason.clone())
}

/// As the API has them.
pub(crate) fn differences(differences: Vec<Difference>) -> Vec<api::Difference> {
    let one = |difference: Difference| api::Difference {
        member: difference.member,
        asked: difference.asked,
        granted: difference.granted,
        consequence: difference.consequence,
    };
    differences.into_iter().map(one).collect()
}
