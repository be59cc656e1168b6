//! Suspension of applications and of single access, and a client as it is at its provider.

use axum::Json;
use portico_proto::{
    access::v1::{
        AccessRequest, Application, ResumeAccessRequestRequest, ResumeApplicationRequest,
        SuspendAccessRequestRequest, SuspendApplicationRequest,
    },
    registration::v1::{ReadOauthClientRequest, ReissueRegistrationTokenRequest},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    access_requests::accepted,
    answer::{Single, Unstored, given},
    credentials::Client,
    drift::DriftItem,
    input::{Id, IfMatch, OptionalBody},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(suspend_access_request))
        .routes(routes!(resume_access_request))
        .routes(routes!(suspend_application))
        .routes(routes!(resume_application))
        .routes(routes!(read_oauth_client))
        .routes(routes!(reissue_registration_token))
}

/// A client as it is at the provider now.
#[derive(Serialize, ToSchema)]
struct ClientAtProvider {
    client: Option<Client>,
    /// `as_made`, `changed`, `missing`, `being_changed` or `not_readable`.
    state: String,
    /// The metadata as the provider gives it (RFC 7592 section 2.1), without secrets; null where it cannot be read.
    #[schema(value_type = Object)]
    found: Value,
    /// What somebody else changed.
    items: Vec<DriftItem>,
    /// Why it cannot be read.
    reason: Option<String>,
}

/// Suspends the access. The client stays; it has no scopes of this request, and is switched off at the
/// provider where nothing else is left of it. Tokens that were issued before work until they end.
#[utoipa::path(post, path = "/access-requests/{id}/suspend", tag = "Access requests", request_body = Option<SuspendAccessRequestRequest>, responses((status = 202, body = AccessRequest)))]
async fn suspend_access_request(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
    OptionalBody(suspension): OptionalBody<SuspendAccessRequestRequest>,
) -> Result<Single<AccessRequest>> {
    let request = ctx.request(SuspendAccessRequestRequest {
        id,
        if_version,
        ..suspension
    });
    let answer = ctx.access().suspend_access_request(request).await?;
    Ok(accepted(answer))
}

/// Resumes suspended access.
#[utoipa::path(post, path = "/access-requests/{id}/resume", tag = "Access requests", request_body = Option<ResumeAccessRequestRequest>, responses((status = 202, body = AccessRequest)))]
async fn resume_access_request(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
    OptionalBody(end): OptionalBody<ResumeAccessRequestRequest>,
) -> Result<Single<AccessRequest>> {
    let request = ctx.request(ResumeAccessRequestRequest {
        id,
        if_version,
        ..end
    });
    let answer = ctx.access().resume_access_request(request).await?;
    Ok(accepted(answer))
}

/// Suspends an application: its credentials do not work until it is resumed.
#[utoipa::path(post, path = "/applications/{id}/suspend", tag = "Applications", responses((status = 200, body = Application)))]
async fn suspend_application(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
) -> Result<Single<Application>> {
    let request = ctx.request(SuspendApplicationRequest { id, if_version });
    let answer = ctx.access().suspend_application(request).await?;
    Ok(answer.into_inner().into())
}

/// Resumes a suspended application.
#[utoipa::path(post, path = "/applications/{id}/resume", tag = "Applications", responses((status = 200, body = Application)))]
async fn resume_application(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
) -> Result<Single<Application>> {
    let request = ctx.request(ResumeApplicationRequest { id, if_version });
    let answer = ctx.access().resume_application(request).await?;
    Ok(answer.into_inner().into())
}

/// Reads a client at its provider; `id` is the client's `id` in the list of an application's clients.
#[utoipa::path(get, path = "/oauth-clients/{id}/at-provider", tag = "Credentials", responses((status = 200, body = ClientAtProvider)))]
async fn read_oauth_client(
    ctx: RequestContext,
    Id(id): Id,
) -> Result<Unstored<Json<ClientAtProvider>>> {
    let request = ctx.request(ReadOauthClientRequest { id });
    let answer = ctx.registration().read_oauth_client(request).await?;
    let answer = answer.into_inner();
    Ok(Unstored(Json(ClientAtProvider {
        client: answer.client.map(Into::into),
        state: answer.state,
        found: serde_json::from_str(&answer.found_json).unwrap_or_default(),
        items: answer.items.into_iter().map(Into::into).collect(),
        reason: given(answer.reason),
    })))
}

/// Issues a new registration access token for a lost one, where the provider supports it. Admins only.
#[utoipa::path(post, path = "/oauth-clients/{id}/reissue-token", tag = "Credentials", responses((status = 200, body = Client)))]
async fn reissue_registration_token(ctx: RequestContext, Id(id): Id) -> Result<Json<Client>> {
    let request = ctx.request(ReissueRegistrationTokenRequest { id });
    let client = ctx
        .registration()
        .reissue_registration_token(request)
        .await?;
    Ok(Json(client.into_inner().into()))
}
