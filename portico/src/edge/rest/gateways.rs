//! `/gateways`: where access is enforced.

mod held_scopes;
mod import;
mod work;

use http::StatusCode;
use portico_proto::{
    gateway::v1::{
        CreateGatewayRequest, DeleteGatewayRequest, Gateway, GatewayChange, GetGatewayRequest,
        ListGatewaysRequest, NewGateway, UpdateGatewayRequest,
    },
    rest::New,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single},
    input::{Body, Id, IfMatch, Query},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_gateways, create_gateway))
        .routes(routes!(get_gateway, update_gateway, delete_gateway))
        .merge(work::routes())
        .merge(import::routes())
        .merge(held_scopes::routes())
}

impl From<Gateway> for Single<Gateway> {
    fn from(from: Gateway) -> Self {
        Self::ok(from.version, from)
    }
}

/// Gateways.
#[utoipa::path(get, path = "/gateways", tag = "Gateways", params(ListGatewaysRequest), responses((status = 200, body = List<Gateway>)))]
async fn list_gateways(
    ctx: RequestContext,
    Query(query): Query<ListGatewaysRequest>,
) -> Result<List<Gateway>> {
    let request = ctx.request(query);
    let page = ctx.gateway().list_gateways(request).await?.into_inner();
    Ok(List::new(page.gateways, page.next))
}

/// Adds a gateway.
#[utoipa::path(post, path = "/gateways", tag = "Gateways", request_body = NewGateway, responses((status = 201, body = Gateway)))]
async fn create_gateway(
    ctx: RequestContext,
    Body(New(gateway)): Body<NewGateway>,
) -> Result<Single<Gateway>> {
    let request = ctx.request(CreateGatewayRequest {
        gateway: Some(gateway),
    });
    let gateway = ctx.gateway().create_gateway(request).await?.into_inner();
    let path = format!("gateways/{}", gateway.id);
    Ok(Single::created(&path, gateway.version, gateway))
}

/// One gateway.
#[utoipa::path(get, path = "/gateways/{id}", tag = "Gateways", responses((status = 200, body = Gateway)))]
async fn get_gateway(ctx: RequestContext, Id(id): Id) -> Result<Single<Gateway>> {
    let request = ctx.request(GetGatewayRequest { id });
    let gateway = ctx.gateway().get_gateway(request).await?.into_inner();
    Ok(gateway.into())
}

async fn version(ctx: &RequestContext, id: &str) -> Result<u64> {
    let request = ctx.request(GetGatewayRequest { id: id.to_owned() });
    let gateway = ctx.gateway().get_gateway(request).await?.into_inner();
    Ok(gateway.version)
}

/// Updates the fields present in the body.
#[utoipa::path(patch, path = "/gateways/{id}", tag = "Gateways", request_body = GatewayChange, responses((status = 200, body = Gateway)))]
async fn update_gateway(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
    Body(change): Body<GatewayChange>,
) -> Result<Single<Gateway>> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(UpdateGatewayRequest {
        id,
        if_version,
        gateway: Some(change.message),
        update_mask: Some(change.mask),
    });
    let gateway = ctx.gateway().update_gateway(request).await?.into_inner();
    Ok(gateway.into())
}

/// Deletes the gateway.
#[utoipa::path(delete, path = "/gateways/{id}", tag = "Gateways", responses((status = 204)))]
async fn delete_gateway(ctx: RequestContext, Id(id): Id, expected: IfMatch) -> Result<StatusCode> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(DeleteGatewayRequest { id, if_version });
    ctx.gateway().delete_gateway(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
