//! `/applications/{id}/clients` and `/credentials`: the OAuth clients of an application.

use axum::{Json, http::StatusCode};
use portico_proto::{
    Error, Kind,
    gateway::v1::{ApiKey, ListApiKeysRequest},
    registration::v1::{
        self as proto, EndOldSecretRequest, GetCredentialsRequest, ListOauthClientsRequest,
        RotateCredentialsRequest,
    },
};
use portico_runtime::ServiceName;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Unstored, given},
    api_keys,
    input::{Id, OptionalBody, Query},
    values::Scopes,
};
use crate::edge::{Edge, halves::Halves, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_clients))
        .routes(routes!(get_credentials))
        .routes(routes!(rotate_credentials))
        .routes(routes!(end_old_secret))
}

/// An application's client at one identity provider, without its secret.
#[derive(Serialize, ToSchema)]
pub(super) struct Client {
    id: String,
    application_id: String,
    identity_provider_id: String,
    identity_provider_name: String,
    /// Null until it is registered.
    client_id: Option<String>,
    /// `waiting`, `registering`, `ready`, `updating`, `suspended`, `failed`, `paused`, `deleting` or `deleted`.
    status: String,
    /// What the approved requests want.
    wanted_scopes: Scopes,
    /// What the provider granted.
    scopes: Scopes,
    token_endpoint: Option<String>,
    differences: Vec<Difference>,
    /// The provider's own message where it failed.
    last_error: Option<String>,
    next_try_at: Option<String>,
    client_type_id: String,
    /// Null: never, or not known.
    client_secret_expires_at: Option<String>,
    /// Until then the secret before the last rotation works too; null: it does not.
    old_secret_valid_until: Option<String>,
    /// Why the provider has not ended the old secret; it is asked again then.
    old_secret_error: Option<String>,
    /// The registration access token (RFC 7592 section 3) is stored.
    has_registration_access_token: bool,
    /// What an admin should know of the provider's last answer.
    warnings: Vec<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// A setting the provider granted differently from the request.
#[derive(Serialize, ToSchema)]
struct Difference {
    /// Metadata member of RFC 7591 section 2.
    member: String,
    asked: String,
    granted: String,
    consequence: String,
}

/// Credentials with which an application gets its tokens.
#[derive(Serialize, ToSchema)]
struct Credentials {
    identity_provider_id: String,
    identity_provider_name: String,
    client_id: String,
    /// Null for a public client.
    client_secret: Option<String>,
    /// Null: never.
    client_secret_expires_at: Option<String>,
    /// Until then the secret before the last rotation works too; null: it does not.
    old_secret_valid_until: Option<String>,
    token_endpoint: String,
    token_endpoint_auth_method: String,
    /// What a token request must name as its `audience`, at providers that give tokens for one API only.
    audience: Option<String>,
    scopes: Scopes,
    /// The metadata as the provider granted it (RFC 7591 section 3.2.1), without secrets.
    #[schema(value_type = Object)]
    granted: Value,
    differences: Vec<Difference>,
    issuer: String,
    /// Status of the client.
    status: String,
}

/// Where the application has one client, its credentials stand at the top level as well.
#[derive(Serialize, ToSchema)]
struct AllCredentials {
    #[serde(flatten)]
    only: Option<Credentials>,
    /// One for each identity provider.
    clients: Vec<Credentials>,
    /// Of products without OAuth credentials. The keys themselves are shown by `POST /api-keys/{id}/reveal`, once.
    api_keys: Vec<ApiKey>,
    /// Services that could not be asked, so that their credentials are missing here: `registration` or `gateway`.
    incomplete: Vec<String>,
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct Rotation {
    /// Needed where the application has clients at several providers.
    identity_provider_id: String,
    /// For a provider that cannot rotate: the client is deleted and another one registered, with another id.
    replace: bool,
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct OldSecretQuery {
    /// Needed where the application has clients at several providers.
    identity_provider_id: String,
}

impl From<proto::OauthClient> for Client {
    fn from(from: proto::OauthClient) -> Self {
        Self {
            id: from.id,
            application_id: from.application_id,
            identity_provider_id: from.identity_provider_id,
            identity_provider_name: from.identity_provider_name,
            client_id: given(from.client_id),
            status: from.status,
            wanted_scopes: Scopes(from.wanted_scopes),
            scopes: Scopes(from.scopes),
            token_endpoint: given(from.token_endpoint),
            differences: from.differences.into_iter().map(Into::into).collect(),
            last_error: given(from.last_error),
            next_try_at: given(from.next_try_at),
            client_type_id: from.client_type_id,
            client_secret_expires_at: given(from.client_secret_expires_at),
            old_secret_valid_until: given(from.old_secret_valid_until),
            old_secret_error: given(from.old_secret_error),
            has_registration_access_token: from.has_registration_access_token,
            warnings: from.warnings,
            created_at: given(from.created_at),
            updated_at: given(from.updated_at),
        }
    }
}

impl From<proto::Difference> for Difference {
    fn from(from: proto::Difference) -> Self {
        Self {
            member: from.member,
            asked: from.asked,
            granted: from.granted,
            consequence: from.consequence,
        }
    }
}

impl From<proto::Credentials> for Credentials {
    fn from(from: proto::Credentials) -> Self {
        Self {
            identity_provider_id: from.identity_provider_id,
            identity_provider_name: from.identity_provider_name,
            client_id: from.client_id,
            client_secret: given(from.client_secret),
            client_secret_expires_at: expiry(from.client_secret_expires_at),
            old_secret_valid_until: given(from.old_secret_valid_until),
            token_endpoint: from.token_endpoint,
            token_endpoint_auth_method: from.token_endpoint_auth_method,
            audience: given(from.audience),
            scopes: Scopes(from.scopes),
            granted: serde_json::from_str(&from.granted_json).unwrap_or_default(),
            differences: from.differences.into_iter().map(Into::into).collect(),
            issuer: from.issuer,
            status: from.status,
        }
    }
}

/// Unix seconds; RFC 7591 section 3.2.1 writes 0 for "never".
fn expiry(seconds: u64) -> Option<String> {
    let at = jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
    (seconds > 0).then(|| at.to_string())
}

/// The OAuth clients of an application, without secrets.
#[utoipa::path(get, path = "/applications/{id}/clients", tag = "Credentials", responses((status = 200, body = List<Client>)))]
async fn list_clients(ctx: RequestContext, Id(application_id): Id) -> Result<List<Client>> {
    let request = ctx.request(ListOauthClientsRequest { application_id });
    let answer = ctx
        .registration()
        .list_oauth_clients(request)
        .await?
        .into_inner();
    Ok(List::new(answer.oauth_clients, String::new()))
}

/// The credentials of an application, for its owner only. Every access is recorded.
#[utoipa::path(get, path = "/applications/{id}/credentials", tag = "Credentials", responses((status = 200, body = AllCredentials)))]
async fn get_credentials(
    ctx: RequestContext,
    Id(application_id): Id,
) -> Result<Unstored<Json<AllCredentials>>> {
    let (mut registered, api_keys, incomplete) = of_application(&ctx, application_id).await?;
    let clients: Vec<Credentials> = registered.iter().cloned().map(Into::into).collect();
    let only = match registered.len() {
        1 => registered.pop().map(Into::into),
        _ => None,
    };
    Ok(Unstored(Json(AllCredentials {
        only,
        clients,
        api_keys,
        incomplete,
    })))
}

/// What registration and the gateway service have for an application, and who of them could not be asked.
///
/// # Errors
/// The caller is not its owner, or there is nothing yet.
async fn of_application(
    ctx: &RequestContext,
    application_id: String,
) -> Result<(Vec<proto::Credentials>, Vec<ApiKey>, Vec<String>)> {
    let keys = ctx.request(ListApiKeysRequest {
        application_id: application_id.clone(),
    });
    let credentials = ctx.request(GetCredentialsRequest { application_id });
    let (mut registration, mut gateway) = (ctx.registration(), ctx.gateway());
    let (credentials, keys) = futures::join!(
        registration.get_credentials(credentials),
        gateway.list_api_keys(keys),
    );
    let mut halves = Halves::default();
    let keys = halves.take(ServiceName::Gateway, keys)?.api_keys;
    let mut registered = match halves.take(ServiceName::Registration, credentials) {
        Ok(answer) => answer.credentials,
        // A client that is not ready hides no API key.
        Err(error) if error.kind == Kind::Conflict && !keys.is_empty() => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    registered.retain(|credentials| !credentials.client_id.is_empty());
    let nothing = registered.is_empty() && keys.is_empty();
    let incomplete = halves.incomplete()?;
    match (nothing, incomplete.is_empty()) {
        (true, true) => Err(not_ready().into()),
        // There may be some where nobody answers.
        (true, false) => Err(Error::unavailable(
            "service_unavailable",
            "A part of Portico is not reachable.",
        )
        .into()),
        (false, _) => {
            let keys = keys.into_iter().map(api_keys::shown).collect();
            Ok((registered, keys, incomplete))
        }
    }
}

fn not_ready() -> Error {
    Error::new(
        Kind::NotFound,
        "credentials_not_ready",
        "This application has no credentials yet: they come when a request for access was approved and the client is registered.",
    )
}

/// Rotates the client secret, where the provider supports it. The old secret stops working at once or at the time in
/// the response.
#[utoipa::path(post, path = "/applications/{id}/credentials/rotate", tag = "Credentials", request_body = Option<Rotation>, responses((status = 200, body = Credentials)))]
async fn rotate_credentials(
    ctx: RequestContext,
    Id(application_id): Id,
    OptionalBody(rotation): OptionalBody<Rotation>,
) -> Result<Unstored<Json<Credentials>>> {
    let request = RotateCredentialsRequest {
        application_id,
        identity_provider_id: rotation.identity_provider_id,
        replace: rotation.replace,
    };
    let answer = ctx
        .registration()
        .rotate_credentials(ctx.request(request))
        .await?;
    Ok(Unstored(Json(answer.into_inner().into())))
}

/// Revokes the old secret early, where the provider accepts both after a rotation.
#[utoipa::path(delete, path = "/applications/{id}/credentials/old-secret", tag = "Credentials", params(OldSecretQuery), responses((status = 204)))]
async fn end_old_secret(
    ctx: RequestContext,
    Id(application_id): Id,
    Query(query): Query<OldSecretQuery>,
) -> Result<StatusCode> {
    let request = EndOldSecretRequest {
        application_id,
        identity_provider_id: query.identity_provider_id,
    };
    ctx.registration()
        .end_old_secret(ctx.request(request))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
