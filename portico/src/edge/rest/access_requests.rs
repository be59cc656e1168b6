//! `/access-requests`: asking for access, and what becomes of it.

use portico_proto::access::v1::{
    AccessRequest, ApproveAccessRequestRequest, GetAccessRequestRequest, ListAccessRequestsRequest,
    RejectAccessRequestRequest, RetryAccessRequestRequest, RevokeAccessRequestRequest,
    SubmitAccessRequestRequest, WithdrawAccessRequestRequest,
};
use tonic::Response;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single},
    input::{Body, Id, IfMatch, OptionalBody, Query},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_access_requests, submit_access_request))
        .routes(routes!(get_access_request))
        .routes(routes!(approve_access_request))
        .routes(routes!(reject_access_request))
        .routes(routes!(revoke_access_request))
        .routes(routes!(withdraw_access_request))
        .routes(routes!(retry_access_request))
}

/// 202: the decision stands; what follows from it is shown by the request's status and timeline.
pub(super) fn accepted(answer: Response<AccessRequest>) -> Single<AccessRequest> {
    let request = answer.into_inner();
    let path = format!("access-requests/{}", request.id);
    Single::accepted(&path, request.version, request)
}

/// Access requests; developers see their own.
#[utoipa::path(get, path = "/access-requests", tag = "Access requests", params(ListAccessRequestsRequest), responses((status = 200, body = List<AccessRequest>)))]
async fn list_access_requests(
    ctx: RequestContext,
    Query(query): Query<ListAccessRequestsRequest>,
) -> Result<List<AccessRequest>> {
    let request = ctx.request(query);
    let page = ctx.access().list_access_requests(request).await?;
    let page = page.into_inner();
    Ok(List::new(page.access_requests, page.next))
}

/// Submits an access request (checkout). Names every combination that does not fit.
#[utoipa::path(post, path = "/access-requests", tag = "Access requests", request_body = SubmitAccessRequestRequest, responses((status = 201, body = AccessRequest)))]
async fn submit_access_request(
    ctx: RequestContext,
    Body(new): Body<SubmitAccessRequestRequest>,
) -> Result<Single<AccessRequest>> {
    let request = ctx.request(new);
    let submitted = ctx.access().submit_access_request(request).await?;
    let request = submitted.into_inner();
    let path = format!("access-requests/{}", request.id);
    Ok(Single::created(&path, request.version, request))
}

/// One request, with its timeline.
#[utoipa::path(get, path = "/access-requests/{id}", tag = "Access requests", responses((status = 200, body = AccessRequest)))]
async fn get_access_request(ctx: RequestContext, Id(id): Id) -> Result<Single<AccessRequest>> {
    let request = find(&ctx, &id).await?;
    Ok(Single::ok(request.version, request))
}

pub(super) async fn find(ctx: &RequestContext, id: &str) -> Result<AccessRequest> {
    let request = ctx.request(GetAccessRequestRequest { id: id.to_owned() });
    Ok(ctx.access().get_access_request(request).await?.into_inner())
}

pub(super) async fn version(ctx: &RequestContext, id: &str) -> Result<u64> {
    Ok(find(ctx, id).await?.version)
}

/// Approves the request. Credentials are then set up at the provider and the gateway.
#[utoipa::path(post, path = "/access-requests/{id}/approve", tag = "Access requests", request_body = Option<ApproveAccessRequestRequest>, responses((status = 202, body = AccessRequest)))]
async fn approve_access_request(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
    OptionalBody(approval): OptionalBody<ApproveAccessRequestRequest>,
) -> Result<Single<AccessRequest>> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(ApproveAccessRequestRequest {
        id,
        if_version,
        ..approval
    });
    let answer = ctx.access().approve_access_request(request).await?;
    Ok(accepted(answer))
}

/// Rejects the request. The reason is shown to the developer.
#[utoipa::path(post, path = "/access-requests/{id}/reject", tag = "Access requests", request_body = RejectAccessRequestRequest, responses((status = 202, body = AccessRequest)))]
async fn reject_access_request(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
    OptionalBody(rejection): OptionalBody<RejectAccessRequestRequest>,
) -> Result<Single<AccessRequest>> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(RejectAccessRequestRequest {
        id,
        if_version,
        ..rejection
    });
    let answer = ctx.access().reject_access_request(request).await?;
    Ok(accepted(answer))
}

/// Revokes access: removes its scopes from the client, deletes a client without scopes, deletes API keys.
#[utoipa::path(post, path = "/access-requests/{id}/revoke", tag = "Access requests", request_body = Option<RevokeAccessRequestRequest>, responses((status = 202, body = AccessRequest)))]
async fn revoke_access_request(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
    OptionalBody(revocation): OptionalBody<RevokeAccessRequestRequest>,
) -> Result<Single<AccessRequest>> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(RevokeAccessRequestRequest {
        id,
        if_version,
        ..revocation
    });
    let answer = ctx.access().revoke_access_request(request).await?;
    Ok(accepted(answer))
}

/// Withdraws the request.
#[utoipa::path(post, path = "/access-requests/{id}/withdraw", tag = "Access requests", request_body = Option<WithdrawAccessRequestRequest>, responses((status = 202, body = AccessRequest)))]
async fn withdraw_access_request(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
    OptionalBody(withdrawal): OptionalBody<WithdrawAccessRequestRequest>,
) -> Result<Single<AccessRequest>> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(WithdrawAccessRequestRequest {
        id,
        if_version,
        ..withdrawal
    });
    let answer = ctx.access().withdraw_access_request(request).await?;
    Ok(accepted(answer))
}

/// Retries failed access.
#[utoipa::path(post, path = "/access-requests/{id}/retry", tag = "Access requests", request_body = Option<RetryAccessRequestRequest>, responses((status = 202, body = AccessRequest)))]
async fn retry_access_request(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
    OptionalBody(retry): OptionalBody<RetryAccessRequestRequest>,
) -> Result<Single<AccessRequest>> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(RetryAccessRequestRequest {
        id,
        if_version,
        ..retry
    });
    let answer = ctx.access().retry_access_request(request).await?;
    Ok(accepted(answer))
}
