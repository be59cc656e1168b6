//! Suspension of applications and of single access, and a client as it is at its provider.

use axum::Json;
use portico_proto::{
    access::v1::{
        AccessRequest, Application, ResumeAccessRequestRequest, ResumeApplicationRequest,
        SuspendAccessRequestRequest, SuspendApplicationRequest,
    },
    registration::v1::{
        ClientAtProvider, OauthClient, ReadOauthClientRequest, ReissueRegistrationTokenRequest,
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    access_requests::{self, accepted},
    answer::{Single, Unstored},
    applications,
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

/// Suspends the access. The client stays; it has no scopes of this request, and is switched off at the
/// provider where nothing else is left of it. Tokens that were issued before work until they end.
#[utoipa::path(post, path = "/access-requests/{id}/suspend", tag = "Access requests", request_body = Option<SuspendAccessRequestRequest>, responses((status = 202, body = AccessRequest)))]
async fn suspend_access_request(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
    OptionalBody(suspension): OptionalBody<SuspendAccessRequestRequest>,
) -> Result<Single<AccessRequest>> {
    let if_version = expected
        .version(access_requests::version(&ctx, &id))
        .await?;
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
    expected: IfMatch,
    OptionalBody(end): OptionalBody<ResumeAccessRequestRequest>,
) -> Result<Single<AccessRequest>> {
    let if_version = expected
        .version(access_requests::version(&ctx, &id))
        .await?;
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
    expected: IfMatch,
) -> Result<Single<Application>> {
    let if_version = expected.version(applications::version(&ctx, &id)).await?;
    let request = ctx.request(SuspendApplicationRequest { id, if_version });
    let answer = ctx.access().suspend_application(request).await?;
    Ok(answer.into_inner().into())
}

/// Resumes a suspended application.
#[utoipa::path(post, path = "/applications/{id}/resume", tag = "Applications", responses((status = 200, body = Application)))]
async fn resume_application(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
) -> Result<Single<Application>> {
    let if_version = expected.version(applications::version(&ctx, &id)).await?;
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
    Ok(Unstored(Json(answer.into_inner())))
}

/// Issues a new registration access token for a lost one, where the provider supports it. Admins only.
#[utoipa::path(post, path = "/oauth-clients/{id}/reissue-token", tag = "Credentials", responses((status = 200, body = OauthClient)))]
async fn reissue_registration_token(ctx: RequestContext, Id(id): Id) -> Result<Json<OauthClient>> {
    let request = ctx.request(ReissueRegistrationTokenRequest { id });
    let client = ctx
        .registration()
        .reissue_registration_token(request)
        .await?;
    Ok(Json(client.into_inner()))
}
