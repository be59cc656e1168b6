//! `/identity-providers/{id}/conformance`: what a provider can do, found out with a client that lives for a moment; and
//! what is tried again there.

use axum::Json;
use http::StatusCode;
use portico_proto::{
    Error,
    access::v1::{RetryAccessRequestsRequest, RetryAccessRequestsResponse},
    registration::v1::{
        ConformanceCheck, GetConformanceCheckRequest, IdentityProvider,
        RetryIdentityProviderRequest, SetSecretRotationRequest, StartConformanceCheckRequest,
    },
    rest::Change,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::Single,
    identity_providers,
    input::{Body, Id, IfMatch, OptionalBody},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(get_conformance_check, start_conformance_check))
        .routes(routes!(retry_identity_provider))
        .routes(routes!(set_secret_rotation))
}

/// The last conformance check.
#[utoipa::path(get, path = "/identity-providers/{id}/conformance", tag = "Identity providers", responses((status = 200, body = ConformanceCheck)))]
async fn get_conformance_check(ctx: RequestContext, Id(id): Id) -> Result<Json<ConformanceCheck>> {
    let request = ctx.request(GetConformanceCheckRequest {
        identity_provider_id: id,
    });
    let check = ctx.registration().get_conformance_check(request).await?;
    Ok(Json(check.into_inner()))
}

/// Starts a check that registers, reads, updates, rotates and deletes a test client. Continues after the response.
#[utoipa::path(post, path = "/identity-providers/{id}/conformance", tag = "Identity providers", request_body = Option<StartConformanceCheckRequest>, responses((status = 202, body = ConformanceCheck)))]
async fn start_conformance_check(
    ctx: RequestContext,
    Id(id): Id,
    OptionalBody(request): OptionalBody<StartConformanceCheckRequest>,
) -> Result<(StatusCode, Json<ConformanceCheck>)> {
    let request = ctx.request(StartConformanceCheckRequest {
        identity_provider_id: id,
        ..request
    });
    let check = ctx.registration().start_conformance_check(request).await?;
    Ok((StatusCode::ACCEPTED, Json(check.into_inner())))
}

/// Retries everything at this provider that has failed or is waiting.
#[utoipa::path(post, path = "/identity-providers/{id}/retry", tag = "Identity providers", responses((status = 202, body = RetryAccessRequestsResponse)))]
async fn retry_identity_provider(
    ctx: RequestContext,
    Id(id): Id,
) -> Result<(StatusCode, Json<RetryAccessRequestsResponse>)> {
    let clients = ctx.request(RetryIdentityProviderRequest {
        identity_provider_id: id.clone(),
    });
    let clients = ctx.registration().retry_identity_provider(clients).await?;
    let requests = ctx.request(RetryAccessRequestsRequest {
        identity_provider_id: id,
    });
    let requests = ctx.access().retry_access_requests(requests).await?;
    let retried = RetryAccessRequestsResponse {
        clients: clients.into_inner().retried,
        ..requests.into_inner()
    };
    Ok((StatusCode::ACCEPTED, Json(retried)))
}

/// Sets whether expiring secrets are rotated automatically.
#[utoipa::path(put, path = "/identity-providers/{id}/secret-rotation", tag = "Identity providers", request_body = SetSecretRotationRequest, responses((status = 200, body = IdentityProvider)))]
async fn set_secret_rotation(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
    Body(body): Body<Change<SetSecretRotationRequest>>,
) -> Result<Single<IdentityProvider>> {
    let if_version = expected
        .version(identity_providers::version(&ctx, &id))
        .await?;
    // Null is never, and an empty body is none: secrets must not end because somebody forgot the member.
    if body.mask.paths.is_empty() {
        let right = "`days_before` must be 30, 7, 1 or null.";
        return Err(Error::field("days_before", "field_missing", right).into());
    }
    let request = ctx.request(SetSecretRotationRequest {
        identity_provider_id: id,
        if_version,
        ..body.message
    });
    let provider = ctx.registration().set_secret_rotation(request).await?;
    Ok(provider.into_inner().into())
}
