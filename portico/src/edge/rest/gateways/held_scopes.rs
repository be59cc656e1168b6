//! `/gateways/held-scopes`: scopes that a product waits for, because clients may still hold them from another one.

use http::StatusCode;
use portico_proto::gateway::v1::{HeldScope, ListHeldScopesRequest, ReleaseHeldScopeRequest};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    answer::List,
    input::{Body, Query},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_held_scopes))
        .routes(routes!(release_held_scope))
}

/// Scopes that products wait for (`scope_still_held`).
#[utoipa::path(get, path = "/gateways/held-scopes", tag = "Gateways", params(ListHeldScopesRequest), responses((status = 200, body = List<HeldScope>)))]
async fn list_held_scopes(
    ctx: RequestContext,
    Query(query): Query<ListHeldScopesRequest>,
) -> Result<List<HeldScope>> {
    let request = ctx.request(query);
    let page = ctx.gateway().list_held_scopes(request).await?.into_inner();
    Ok(List::new(page.held_scopes, page.next))
}

/// Releases a scope to the waiting product. Tokens of clients that still hold it then open that product's APIs.
#[utoipa::path(post, path = "/gateways/held-scopes/release", tag = "Gateways", request_body = ReleaseHeldScopeRequest, responses((status = 204)))]
async fn release_held_scope(
    ctx: RequestContext,
    Body(release): Body<ReleaseHeldScopeRequest>,
) -> Result<StatusCode> {
    let request = ctx.request(release);
    ctx.gateway().release_held_scope(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
