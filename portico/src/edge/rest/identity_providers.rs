//! `/identity-providers`: where OAuth clients are registered.

use axum::Json;
use http::StatusCode;
use portico_proto::registration::v1::{
    self as proto, CheckIdentityProviderRequest, CreateIdentityProviderRequest,
    DeleteIdentityProviderRequest, GetIdentityProviderRequest, ListIdentityProvidersRequest,
    OriginList, UpdateIdentityProviderRequest, check_identity_provider_request::Subject,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single, given},
    input::{Body, Id, IfMatch, Query},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

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
pub(super) struct IdentityProvider {
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
    /// How the portal authorises itself when it registers a client: `none`, `initial_access_token`, `api_token` or
    /// `client_credentials`.
    authorization: String,
    /// The token itself is never answered.
    has_api_token: bool,
    management_scope: Option<String>,
    management_audience: Option<String>,
    management_auth_method: Option<String>,
    /// PEM.
    trusted_certificates: Option<String>,
    allowed_origins: Vec<String>,
    registration_endpoint_override: Option<String>,
    api_audience: Option<String>,
    client_template: Option<String>,
    /// The statement itself is never answered.
    has_software_statement: bool,
    /// What should be changed, in words.
    warnings: Vec<String>,
    /// Secrets that end are rotated so many days before; 0: they are not.
    rotate_secrets_days_before: u32,
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
    /// How the portal authorises itself when it registers a client: `none`, `initial_access_token`, `api_token` (Okta,
    /// Auth0, other) or `client_credentials` (the management client gets a fresh token for each call). Where it is absent, by
    /// what else is given.
    authorization: Option<String>,
    /// Okta: an API token (SSWS). Auth0: a token for the Management API. Other: one that registers clients, as Bearer.
    api_token: Option<String>,
    /// Scopes that the management client asks for; where absent, what the type needs.
    management_scope: Option<String>,
    /// Audience that the management client asks for; where absent, what the type needs.
    management_audience: Option<String>,
    /// `client_secret_basic`, or `client_secret_post`.
    management_auth_method: Option<String>,
    /// Certificates in PEM, trusted beside the system's authorities in every call to this provider.
    trusted_certificates: Option<String>,
    /// Origins beside the issuer's at which endpoints may be, such as `https://internal.example:8443`.
    allowed_origins: Vec<String>,
    /// Where clients are registered, whatever the well-known document says of it; needed where it says nothing.
    registration_endpoint_override: Option<String>,
    /// Auth0: the identifier of the API whose scopes clients are granted.
    api_audience: Option<String>,
    /// Curity: the client that dynamic clients are instances of.
    client_template: Option<String>,
    /// Sent with each registration (RFC 7591 section 2.3).
    software_statement: Option<String>,
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
    /// An empty one: by what is stored.
    authorization: Option<String>,
    /// A new one resumes a paused provider.
    api_token: Option<String>,
    management_scope: Option<String>,
    management_audience: Option<String>,
    management_auth_method: Option<String>,
    trusted_certificates: Option<String>,
    allowed_origins: Option<Vec<String>>,
    /// An empty one: as the well-known document says.
    registration_endpoint_override: Option<String>,
    api_audience: Option<String>,
    client_template: Option<String>,
    software_statement: Option<String>,
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
    /// `name`, `-name`, `created_at` or `-created_at`.
    sort: String,
}

/// What a connection test found.
#[derive(Serialize, ToSchema)]
struct Check {
    ok: bool,
    steps: Vec<CheckStep>,
}

#[derive(Serialize, ToSchema)]
struct CheckStep {
    /// `discovery`, `issuer`, `registration_endpoint`, `token_endpoint`, `jwks`, `scopes`, `authorization` or `tls`.
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
            authorization: from.authorization,
            has_api_token: from.has_api_token,
            management_scope: given(from.management_scope),
            management_audience: given(from.management_audience),
            management_auth_method: given(from.management_auth_method),
            trusted_certificates: given(from.trusted_certificates),
            allowed_origins: from.allowed_origins,
            registration_endpoint_override: given(from.registration_endpoint_override),
            api_audience: given(from.api_audience),
            client_template: given(from.client_template),
            has_software_statement: from.has_software_statement,
            warnings: from.warnings,
            rotate_secrets_days_before: from.rotate_secrets_days_before,
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
            authorization: new.authorization.unwrap_or_default(),
            api_token: new.api_token.unwrap_or_default(),
            management_scope: new.management_scope.unwrap_or_default(),
            management_audience: new.management_audience.unwrap_or_default(),
            management_auth_method: new.management_auth_method.unwrap_or_default(),
            trusted_certificates: new.trusted_certificates.unwrap_or_default(),
            allowed_origins: new.allowed_origins,
            registration_endpoint_override: new.registration_endpoint_override.unwrap_or_default(),
            api_audience: new.api_audience.unwrap_or_default(),
            client_template: new.client_template.unwrap_or_default(),
            software_statement: new.software_statement.unwrap_or_default(),
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
    ctx: RequestContext,
    Query(query): Query<IdentityProviderQuery>,
) -> Result<List<IdentityProvider>> {
    let request = ListIdentityProvidersRequest {
        limit: query.limit,
        after: query.after,
        q: query.q,
        sort: query.sort,
    };
    let page = ctx
        .registration()
        .list_identity_providers(ctx.request(request))
        .await?
        .into_inner();
    Ok(List::new(page.identity_providers, page.next))
}

/// Adds a provider after reading its well-known document.
#[utoipa::path(post, path = "/identity-providers", tag = "Identity providers", request_body = NewIdentityProvider, responses((status = 201, body = IdentityProvider)))]
async fn create_identity_provider(
    ctx: RequestContext,
    Body(new): Body<NewIdentityProvider>,
) -> Result<Single<IdentityProvider>> {
    let request = ctx.request(new.into());
    let provider = ctx
        .registration()
        .create_identity_provider(request)
        .await?
        .into_inner();
    let path = format!("identity-providers/{}", provider.id);
    Ok(Single::created(&path, provider.version, provider.into()))
}

/// One provider.
#[utoipa::path(get, path = "/identity-providers/{id}", tag = "Identity providers", responses((status = 200, body = IdentityProvider)))]
async fn get_identity_provider(
    ctx: RequestContext,
    Id(id): Id,
) -> Result<Single<IdentityProvider>> {
    let request = ctx.request(GetIdentityProviderRequest { id });
    Ok(ctx
        .registration()
        .get_identity_provider(request)
        .await?
        .into_inner()
        .into())
}

/// Updates the fields present in the body.
#[utoipa::path(patch, path = "/identity-providers/{id}", tag = "Identity providers", request_body = IdentityProviderChange, responses((status = 200, body = IdentityProvider)))]
async fn update_identity_provider(
    ctx: RequestContext,
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
        authorization: change.authorization,
        api_token: change.api_token,
        management_scope: change.management_scope,
        management_audience: change.management_audience,
        management_auth_method: change.management_auth_method,
        trusted_certificates: change.trusted_certificates,
        allowed_origins: change.allowed_origins.map(|values| OriginList { values }),
        registration_endpoint_override: change.registration_endpoint_override,
        api_audience: change.api_audience,
        client_template: change.client_template,
        software_statement: change.software_statement,
    };
    let request = ctx.request(request);
    Ok(ctx
        .registration()
        .update_identity_provider(request)
        .await?
        .into_inner()
        .into())
}

/// Deletes the provider; refused while it has clients.
#[utoipa::path(delete, path = "/identity-providers/{id}", tag = "Identity providers", responses((status = 204)))]
async fn delete_identity_provider(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
) -> Result<StatusCode> {
    let request = ctx.request(DeleteIdentityProviderRequest { id, if_version });
    ctx.registration().delete_identity_provider(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tests the connection to a stored provider.
#[utoipa::path(post, path = "/identity-providers/{id}/check", tag = "Identity providers", responses((status = 200, body = Check)))]
async fn check_identity_provider(ctx: RequestContext, Id(id): Id) -> Result<Json<Check>> {
    check(&ctx, Subject::Id(id)).await
}

/// Tests settings before they are stored.
#[utoipa::path(post, path = "/identity-providers/check", tag = "Identity providers", request_body = NewIdentityProvider, responses((status = 200, body = Check)))]
async fn check_identity_provider_settings(
    ctx: RequestContext,
    Body(settings): Body<NewIdentityProvider>,
) -> Result<Json<Check>> {
    check(&ctx, Subject::Settings(settings.into())).await
}

async fn check(ctx: &RequestContext, subject: Subject) -> Result<Json<Check>> {
    let request = ctx.request(CheckIdentityProviderRequest {
        subject: Some(subject),
    });
    let answer = ctx
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
