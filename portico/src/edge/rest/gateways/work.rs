//! What can be asked of a gateway: a simulated call, what is there, new keys.

use axum::Json;
use portico_proto::gateway::v1::{
    GatewayPolicy, ListGatewayContentsRequest, RefreshGatewayKeysRequest,
    RefreshGatewayKeysResponse, SimulateGatewayCallRequest, SimulateGatewayCallResponse,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    answer::{List, Unstored},
    input::{Body, Id, Query},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(simulate_gateway_call))
        .routes(routes!(list_gateway_policies))
        .routes(routes!(refresh_gateway_keys))
}

/// Simulates a call against the gateway's present configuration.
#[utoipa::path(post, path = "/gateways/{id}/simulate", tag = "Gateways", request_body = SimulateGatewayCallRequest, responses((status = 200, body = SimulateGatewayCallResponse)))]
async fn simulate_gateway_call(
    ctx: RequestContext,
    Id(gateway_id): Id,
    Body(call): Body<SimulateGatewayCallRequest>,
) -> Result<Unstored<Json<SimulateGatewayCallResponse>>> {
    let request = ctx.request(SimulateGatewayCallRequest { gateway_id, ..call });
    let answer = ctx.gateway().simulate_gateway_call(request).await?;
    Ok(Unstored(Json(answer.into_inner())))
}

/// The policies at a gateway and the APIs they open.
#[utoipa::path(get, path = "/gateways/{id}/policies", tag = "Gateways", params(ListGatewayContentsRequest), responses((status = 200, body = List<GatewayPolicy>)))]
async fn list_gateway_policies(
    ctx: RequestContext,
    Id(gateway_id): Id,
    Query(query): Query<ListGatewayContentsRequest>,
) -> Result<List<GatewayPolicy>> {
    let request = ctx.request(ListGatewayContentsRequest {
        gateway_id,
        ..query
    });
    let page = ctx.gateway().list_gateway_contents(request).await?;
    let page = page.into_inner();
    Ok(List::new(page.policies, page.next))
}

/// Makes the gateway fetch the identity providers' keys again.
#[utoipa::path(post, path = "/gateways/{id}/refresh-keys", tag = "Gateways", responses((status = 200, body = RefreshGatewayKeysResponse)))]
async fn refresh_gateway_keys(
    ctx: RequestContext,
    Id(gateway_id): Id,
) -> Result<Json<RefreshGatewayKeysResponse>> {
    let request = ctx.request(RefreshGatewayKeysRequest { gateway_id });
    let answer = ctx.gateway().refresh_gateway_keys(request).await?;
    Ok(Json(answer.into_inner()))
}
