//! `/gateways/held-scopes`: scopes that a product waits for, because clients may still hold them from another one.

use http::StatusCode;
use portico_proto::gateway::v1::{self as proto, ListHeldScopesRequest, ReleaseHeldScopeRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
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

/// A scope that one product has given up and another one waits for.
#[derive(Serialize, ToSchema)]
struct HeldScope {
    identity_provider_id: String,
    scope: String,
    /// The product that waits.
    product_id: String,
    product_name: String,
    /// The product whose clients may still hold it.
    holder_product_id: String,
    holder_product_name: String,
    /// Applications with such a client.
    application_ids: Vec<String>,
}

/// Releases a scope to the waiting product although clients may still hold it.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct HeldScopeRelease {
    identity_provider_id: String,
    scope: String,
    holder_product_id: String,
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct HeldScopeQuery {
    /// 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
}

impl From<proto::HeldScope> for HeldScope {
    fn from(from: proto::HeldScope) -> Self {
        Self {
            identity_provider_id: from.identity_provider_id,
            scope: from.scope,
            product_id: from.product_id,
            product_name: from.product_name,
            holder_product_id: from.holder_product_id,
            holder_product_name: from.holder_product_name,
            application_ids: from.application_ids,
        }
    }
}

/// Scopes that products wait for (`scope_still_held`).
#[utoipa::path(get, path = "/gateways/held-scopes", tag = "Gateways", params(HeldScopeQuery), responses((status = 200, body = List<HeldScope>)))]
async fn list_held_scopes(
    ctx: RequestContext,
    Query(query): Query<HeldScopeQuery>,
) -> Result<List<HeldScope>> {
    let request = ctx.request(ListHeldScopesRequest {
        limit: query.limit,
        after: query.after,
    });
    let page = ctx.gateway().list_held_scopes(request).await?.into_inner();
    Ok(List::new(page.held_scopes, page.next))
}

/// Releases a scope to the waiting product. Tokens of clients that still hold it then open that product's APIs.
#[utoipa::path(post, path = "/gateways/held-scopes/release", tag = "Gateways", request_body = HeldScopeRelease, responses((status = 204)))]
async fn release_held_scope(
    ctx: RequestContext,
    Body(release): Body<HeldScopeRelease>,
) -> Result<StatusCode> {
    let request = ctx.request(ReleaseHeldScopeRequest {
        identity_provider_id: release.identity_provider_id,
        scope: release.scope,
        holder_product_id: release.holder_product_id,
    });
    ctx.gateway().release_held_scope(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
