//! `/identity-providers`: where OAuth clients are registered.

use axum::Json;
use http::StatusCode;
use portico_proto::registration::v1::{
    self as proto, CheckIdentityProviderRequest, CreateIdentityProviderRequest,
    DeleteIdentityProviderRequest, GetIdentityProviderRequest, ListIdentityProvidersRequest,
    UpdateIdentityProviderRequest, check_identity_provider_request::Subject,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single, given},
    input::{Body, Id, IfMatch, Query},
};
use crate::edge::{Edge, ask::Ask, problem::Result};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_identity_providers, create_identity_provider))
        .routes(routes!(
            get_identity_provider,
            update_identity_provider,
            delete_identity_provider
        ))
        .routes(routes!(check_identity_provider))
        .routes(routes!(check_identity_provider_settings))
}

#[derive(Serialize, ToSchema)]
struct IdentityProvider {
    id: String,
    name: String,
    /// `keycloak`, `okta`, `auth0`, `gluu`, `curity` or `other`.
    r#type: String,
    well_known_url: String,
    /// The token itself is never answered.
    has_initial_access_token: bool,
    scope_claim: String,
    skip_tls_verify: bool,
    issuer: Option<String>,
    registration_endpoint: Option<String>,
    token_endpoint: Option<String>,
    jwks_uri: Option<String>,
    scopes_supported: Vec<String>,
    /// `active`, `paused` (it refused the initial access token: give a new one) or `deleted`.
    status: String,
    status_reason: Option<String>,
    management_client_id: Option<String>,
    version: u64,
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct NewIdentityProvider {
    name: String,
    /// `keycloak`, `okta`, `auth0`, `gluu`, `curity` or `other`.
    r#type: String,
    well_known_url: String,
    initial_access_token: Option<String>,
    /// The claim of the token that carries the scopes; `scope` where it is absent.
    scope_claim: Option<String>,
    skip_tls_verify: bool,
    /// A client that may manage others, for what RFC 7592 cannot do.
    management_client_id: Option<String>,
    management_client_secret: Option<String>,
}

/// What is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct IdentityProviderChange {
    name: Option<String>,
    well_known_url: Option<String>,
    /// A new one resumes a paused provider.
    initial_access_token: Option<String>,
    scope_claim: Option<String>,
    skip_tls_verify: Option<bool>,
    management_client_id: Option<String>,
    management_client_secret: Option<String>,
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct IdentityProviderQuery {
    /// 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
    /// Words in the name.
    q: String,
}

/// What a connection test found.
#[derive(Serialize, ToSchema)]
struct Check {
    ok: bool,
    steps: Vec<CheckStep>,
}

#[derive(Serialize, ToSchema)]
struct CheckStep {
    /// `discovery`, `issuer`, `registration_endpoint`, `token_endpoint`, `jwks` or `scopes`.
    name: String,
    /// `passed`, `failed`, `skipped` or `warning`.
    outcome: String,
    detail: String,
}

impl From<proto::IdentityProvider> for IdentityProvider {
    fn from(from: proto::IdentityProvider) -> Self {
        Self {
            id: from.id,
            name: from.name,
            r#type: from.r#type,
            well_known_url: from.well_known_url,
            has_initial_access_token: from.has_initial_access_token,
            scope_claim: from.scope_claim,
            skip_tls_verify: from.skip_tls_verify,
            issuer: given(from.issuer),
            registration_endpoint: given(from.registration_endpoint),
            token_endpoint: given(from.token_endpoint),
            jwks_uri: given(from.jwks_uri),
            scopes_supported: from.scopes_supported,
            status: from.status,
            status_reason: given(from.status_reason),
            management_client_id: given(from.management_client_id),
            version: from.version,
            created_at: given(from.created_at),
            updated_at: given(from.updated_at),
        }
    }
}

impl From<NewIdentityProvider> for CreateIdentityProviderRequest {
    fn from(new: NewIdentityProvider) -> Self {
        Self {
            name: new.name,
            r#type: new.r#type,
            well_known_url: new.well_known_url,
            initial_access_token: new.initial_access_token.unwrap_or_default(),
            scope_claim: new.scope_claim.unwrap_or_default(),
            skip_tls_verify: new.skip_tls_verify,
            management_client_id: new.management_client_id.unwrap_or_default(),
            management_client_secret: new.management_client_secret.unwrap_or_default(),
        }
    }
}

impl From<proto::IdentityProvider> for Single<IdentityProvider> {
    fn from(from: proto::IdentityProvider) -> Self {
        Self::ok(from.version, from.into())
    }
}

/// Identity providers.
#[utoipa::path(get, path = "/identity-providers", tag = "Identity providers", params(IdentityProviderQuery), responses((status = 200, body = List<IdentityProvider>)))]
async fn list_identity_providers(
    ask: Ask,
    Query(query): Query<IdentityProviderQuery>,
) -> Result<List<IdentityProvider>> {
    let request = ListIdentityProvidersRequest {
        limit: query.limit,
        after: query.after,
        q: query.q,
    };
    let page = ask
        .registration()
        .list_identity_providers(ask.request(request))
        .await?
        .into_inner();
    Ok(List::new(page.identity_providers, page.next))
}

/// Adds a provider, after its well-known document was read.
#[utoipa::path(post, path = "/identity-providers", tag = "Identity providers", request_body = NewIdentityProvider, responses((status = 201, body = IdentityProvider)))]
async fn create_identity_provider(
    ask: Ask,
    Body(new): Body<NewIdentityProvider>,
) -> Result<Single<IdentityProvider>> {
    let request = ask.request(new.into());
    let provider = ask
        .registration()
        .create_identity_provider(request)
        .await?
        .into_inner();
    let path = format!("identity-providers/{}", provider.id);
    Ok(Single::created(&path, provider.version, provider.into()))
}

/// One provider.
#[utoipa::path(get, path = "/identity-providers/{id}", tag = "Identity providers", responses((status = 200, body = IdentityProvider)))]
async fn get_identity_provider(ask: Ask, Id(id): Id) -> Result<Single<IdentityProvider>> {
    let request = ask.request(GetIdentityProviderRequest { id });
    Ok(ask
        .registration()
        .get_identity_provider(request)
        .await?
        .into_inner()
        .into())
}

/// Changes what is given.
#[utoipa::path(patch, path = "/identity-providers/{id}", tag = "Identity providers", request_body = IdentityProviderChange, responses((status = 200, body = IdentityProvider)))]
async fn update_identity_provider(
    ask: Ask,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
    Body(change): Body<IdentityProviderChange>,
) -> Result<Single<IdentityProvider>> {
    let request = UpdateIdentityProviderRequest {
        id,
        if_version,
        name: change.name,
        well_known_url: change.well_known_url,
        initial_access_token: change.initial_access_token,
        scope_claim: change.scope_claim,
        skip_tls_verify: change.skip_tls_verify,
        management_client_id: change.management_client_id,
        management_client_secret: change.management_client_secret,
    };
    let request = ask.request(request);
    Ok(ask
        .registration()
        .update_identity_provider(request)
        .await?
        .into_inner()
        .into())
}

/// Removes it; refused while it has clients.
#[utoipa::path(delete, path = "/identity-providers/{id}", tag = "Identity providers", responses((status = 204)))]
async fn delete_identity_provider(
    ask: Ask,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
) -> Result<StatusCode> {
    let request = ask.request(DeleteIdentityProviderRequest { id, if_version });
    ask.registration().delete_identity_provider(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tests the connection to a stored provider.
#[utoipa::path(post, path = "/identity-providers/{id}/check", tag = "Identity providers", responses((status = 200, body = Check)))]
async fn check_identity_provider(ask: Ask, Id(id): Id) -> Result<Json<Check>> {
    check(&ask, Subject::Id(id)).await
}

/// Tests settings before they are stored.
#[utoipa::path(post, path = "/identity-providers/check", tag = "Identity providers", request_body = NewIdentityProvider, responses((status = 200, body = Check)))]
async fn check_identity_provider_settings(
    ask: Ask,
    Body(settings): Body<NewIdentityProvider>,
) -> Result<Json<Check>> {
    check(&ask, Subject::Settings(settings.into())).await
}

async fn check(ask: &Ask, subject: Subject) -> Result<Json<Check>> {
    let request = ask.request(CheckIdentityProviderRequest {
        subject: Some(subject),
    });
    let answer = ask
        .registration()
        .check_identity_provider(request)
        .await?
        .into_inner();
    let step = |step: proto::CheckStep| CheckStep {
        name: step.name,
        outcome: step.outcome,
        detail: step.detail,
    };
    Ok(Json(Check {
        ok: answer.ok,
        steps: answer.steps.into_iter().map(step).collect(),
    }))
}
