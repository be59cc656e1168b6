//! `/access-requests`: asking for access, and what becomes of it.

use portico_proto::{
    Error,
    access::v1::{
        self as proto, ApproveAccessRequestRequest, GetAccessRequestRequest,
        ListAccessRequestsRequest, RejectAccessRequestRequest, RetryAccessRequestRequest,
        RevokeAccessRequestRequest, SubmitAccessRequestRequest, WithdrawAccessRequestRequest,
        submit_access_request_request::Target,
    },
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single, given},
    applications::NewApplication,
    cart::Item,
    input::{Body, Id, IfMatch, OptionalBody, Query},
    values::Scopes,
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

/// A request for access, with everything that has happened to it.
#[derive(Serialize, ToSchema)]
pub(in crate::edge) struct AccessRequest {
    id: String,
    /// `pending`, `approved`, `provisioning`, `active`, `suspended`, `failed`, `rejected`, `withdrawn` or `revoked`.
    status: String,
    application_id: String,
    application_name: String,
    requester_id: String,
    items: Vec<RequestedItem>,
    /// What it leads to: `oauth_client` or `api_key`.
    credential: String,
    /// Null where it leads to API keys.
    client_type_id: Option<String>,
    /// Null where it leads to API keys.
    identity_provider_id: Option<String>,
    note: String,
    /// Why it was rejected, revoked or withdrawn, or why it failed.
    reason: Option<String>,
    /// Time of the next automatic retry.
    next_try_at: Option<String>,
    timeline: Vec<Step>,
    version: u64,
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// A product under a plan, with what both meant when the request was submitted.
#[derive(Serialize, ToSchema)]
struct RequestedItem {
    product_id: String,
    product_name: String,
    plan_id: String,
    plan_name: String,
    product_scopes: Scopes,
    plan_scopes: Scopes,
}

#[derive(Serialize, ToSchema)]
struct Step {
    /// `submitted`, `approved`, `rejected`, `withdrawn`, `registering`, `registered`, `mapped`, `provisioned`,
    /// `delayed`, `failed`, `retried`, `suspended`, `resumed`, `revoked` or `deprovisioned`; and what happens to the
    /// client at the provider: `client_suspended`, `client_resumed`, `client_replaced`, `client_missing`,
    /// `client_edited`, `client_adopted`, `secret_rotated`, `secret_expiring` or `client_changed`; or to an API key:
    /// `key_created`, `key_replaced`, `key_revealed` or `key_deleted`.
    step: String,
    at: Option<String>,
    /// A user's id, or the service that did it.
    by: String,
    detail: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewAccessRequest {
    #[serde(default)]
    items: Vec<Item>,
    /// An existing application, or
    application_id: Option<String>,
    /// a new one.
    application: Option<NewApplication>,
    /// Not needed for products that give API keys.
    #[serde(default)]
    client_type_id: String,
    #[serde(default)]
    note: String,
}

/// Why; shown to the developer.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Decision {
    pub(super) reason: String,
}

/// A remark that stays with the request.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct Approval {
    note: String,
    /// The same as `note`.
    reason: String,
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct AccessRequestQuery {
    /// 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
    q: String,
    /// `-created_at` or `created_at`.
    sort: String,
    status: String,
    application_id: String,
    product_id: String,
    plan_id: String,
    /// Admins only.
    requester_id: String,
}

impl From<proto::AccessRequest> for AccessRequest {
    fn from(from: proto::AccessRequest) -> Self {
        Self {
            id: from.id,
            status: from.status,
            application_id: from.application_id,
            application_name: from.application_name,
            requester_id: from.requester_id,
            items: from.items.into_iter().map(Into::into).collect(),
            credential: from.credential,
            client_type_id: given(from.client_type_id),
            identity_provider_id: given(from.identity_provider_id),
            note: from.note,
            reason: given(from.reason),
            next_try_at: given(from.next_try_at),
            timeline: from.timeline.into_iter().map(Into::into).collect(),
            version: from.version,
            created_at: given(from.created_at),
            updated_at: given(from.updated_at),
        }
    }
}

impl From<proto::RequestedItem> for RequestedItem {
    fn from(from: proto::RequestedItem) -> Self {
        Self {
            product_id: from.product_id,
            product_name: from.product_name,
            plan_id: from.plan_id,
            plan_name: from.plan_name,
            product_scopes: Scopes(from.product_scopes),
            plan_scopes: Scopes(from.plan_scopes),
        }
    }
}

impl From<proto::TimelineEntry> for Step {
    fn from(from: proto::TimelineEntry) -> Self {
        Self {
            step: from.step,
            at: given(from.at),
            by: from.by,
            detail: from.detail,
        }
    }
}

/// 202: the decision stands; what follows from it is shown by the request's status and timeline.
pub(super) fn accepted(request: proto::AccessRequest) -> Single<AccessRequest> {
    let path = format!("access-requests/{}", request.id);
    Single::accepted(&path, request.version, request.into())
}

/// Access requests; developers see their own.
#[utoipa::path(get, path = "/access-requests", tag = "Access requests", params(AccessRequestQuery), responses((status = 200, body = List<AccessRequest>)))]
async fn list_access_requests(
    ctx: RequestContext,
    Query(query): Query<AccessRequestQuery>,
) -> Result<List<AccessRequest>> {
    let request = ListAccessRequestsRequest {
        limit: query.limit,
        after: query.after,
        q: query.q,
        sort: query.sort,
        status: query.status,
        application_id: query.application_id,
        product_id: query.product_id,
        plan_id: query.plan_id,
        requester_id: query.requester_id,
    };
    let page = ctx
        .access()
        .list_access_requests(ctx.request(request))
        .await?
        .into_inner();
    Ok(List::new(page.access_requests, page.next))
}

/// Submits an access request (checkout). Names every combination that does not fit.
#[utoipa::path(post, path = "/access-requests", tag = "Access requests", request_body = NewAccessRequest, responses((status = 201, body = AccessRequest)))]
async fn submit_access_request(
    ctx: RequestContext,
    Body(new): Body<NewAccessRequest>,
) -> Result<Single<AccessRequest>> {
    let target = match (new.application_id, new.application) {
        (Some(_), Some(_)) => {
            return Err(Error::field(
                "application",
                "application_ambiguous",
                "Give `application_id` or `application`, not both.",
            )
            .into());
        }
        (Some(id), None) => Some(Target::ApplicationId(id)),
        (None, Some(application)) => Some(Target::Application(application.into())),
        (None, None) => None,
    };
    let request = SubmitAccessRequestRequest {
        items: new.items.into_iter().map(Into::into).collect(),
        target,
        client_type_id: new.client_type_id,
        note: new.note,
    };
    let request = ctx
        .access()
        .submit_access_request(ctx.request(request))
        .await?
        .into_inner();
    let path = format!("access-requests/{}", request.id);
    Ok(Single::created(&path, request.version, request.into()))
}

/// One request, with its timeline.
#[utoipa::path(get, path = "/access-requests/{id}", tag = "Access requests", responses((status = 200, body = AccessRequest)))]
async fn get_access_request(ctx: RequestContext, Id(id): Id) -> Result<Single<AccessRequest>> {
    let request = find(&ctx, &id).await?;
    Ok(Single::ok(request.version, request.into()))
}

pub(super) async fn find(ctx: &RequestContext, id: &str) -> Result<proto::AccessRequest> {
    let request = ctx.request(GetAccessRequestRequest { id: id.to_owned() });
    Ok(ctx.access().get_access_request(request).await?.into_inner())
}

/// Approves the request. Credentials are then set up at the provider and the gateway.
#[utoipa::path(post, path = "/access-requests/{id}/approve", tag = "Access requests", request_body = Option<Approval>, responses((status = 202, body = AccessRequest)))]
async fn approve_access_request(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
    OptionalBody(approval): OptionalBody<Approval>,
) -> Result<Single<AccessRequest>> {
    let note = if approval.note.is_empty() {
        approval.reason
    } else {
        approval.note
    };
    let request = ctx.request(ApproveAccessRequestRequest {
        id,
        note,
        if_version,
    });
    Ok(accepted(
        ctx.access()
            .approve_access_request(request)
            .await?
            .into_inner(),
    ))
}

/// Rejects the request. The reason is shown to the developer.
#[utoipa::path(post, path = "/access-requests/{id}/reject", tag = "Access requests", request_body = Decision, responses((status = 202, body = AccessRequest)))]
async fn reject_access_request(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
    OptionalBody(Decision { reason }): OptionalBody<Decision>,
) -> Result<Single<AccessRequest>> {
    let request = ctx.request(RejectAccessRequestRequest {
        id,
        reason,
        if_version,
    });
    Ok(accepted(
        ctx.access()
            .reject_access_request(request)
            .await?
            .into_inner(),
    ))
}

/// Revokes access: removes its scopes from the client, deletes a client without scopes, deletes API keys.
#[utoipa::path(post, path = "/access-requests/{id}/revoke", tag = "Access requests", request_body = Option<Decision>, responses((status = 202, body = AccessRequest)))]
async fn revoke_access_request(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
    OptionalBody(Decision { reason }): OptionalBody<Decision>,
) -> Result<Single<AccessRequest>> {
    let request = ctx.request(RevokeAccessRequestRequest {
        id,
        reason,
        if_version,
    });
    Ok(accepted(
        ctx.access()
            .revoke_access_request(request)
            .await?
            .into_inner(),
    ))
}

/// Withdraws the request.
#[utoipa::path(post, path = "/access-requests/{id}/withdraw", tag = "Access requests", request_body = Option<Decision>, responses((status = 202, body = AccessRequest)))]
async fn withdraw_access_request(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
    OptionalBody(Decision { reason }): OptionalBody<Decision>,
) -> Result<Single<AccessRequest>> {
    let request = ctx.request(WithdrawAccessRequestRequest {
        id,
        reason,
        if_version,
    });
    Ok(accepted(
        ctx.access()
            .withdraw_access_request(request)
            .await?
            .into_inner(),
    ))
}

/// Retries failed access.
#[utoipa::path(post, path = "/access-requests/{id}/retry", tag = "Access requests", responses((status = 202, body = AccessRequest)))]
async fn retry_access_request(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
    _body: OptionalBody<Decision>,
) -> Result<Single<AccessRequest>> {
    expected
        .require(async { Ok(find(&ctx, &id).await?.version) })
        .await?;
    let request = ctx.request(RetryAccessRequestRequest { id });
    Ok(accepted(
        ctx.access()
            .retry_access_request(request)
            .await?
            .into_inner(),
    ))
}
