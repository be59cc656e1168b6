//! Products and plans made of the policies of a gateway.

use portico_proto::catalog::v1::{
    ImportFromGatewayRequest, ImportedPolicy, PreviewGatewayImportRequest,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    answer::List,
    input::{Body, Id, Query},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(preview_gateway_import, import_from_gateway))
}

/// Shows what an import would create from each policy at the gateway; changes nothing.
#[utoipa::path(get, path = "/gateways/{id}/import", tag = "Gateways", params(PreviewGatewayImportRequest), responses((status = 200, body = List<ImportedPolicy>)))]
async fn preview_gateway_import(
    ctx: RequestContext,
    Id(gateway_id): Id,
    Query(query): Query<PreviewGatewayImportRequest>,
) -> Result<List<ImportedPolicy>> {
    let request = ctx.request(PreviewGatewayImportRequest {
        gateway_id,
        ..query
    });
    let page = ctx.catalog().preview_gateway_import(request).await?;
    let page = page.into_inner();
    Ok(List::new(page.items, page.next))
}

/// Creates draft products and plans from policies, or updates those imported before.
#[utoipa::path(post, path = "/gateways/{id}/import", tag = "Gateways", request_body = ImportFromGatewayRequest, responses((status = 200, body = List<ImportedPolicy>)))]
async fn import_from_gateway(
    ctx: RequestContext,
    Id(gateway_id): Id,
    Body(import): Body<ImportFromGatewayRequest>,
) -> Result<List<ImportedPolicy>> {
    let request = ctx.request(ImportFromGatewayRequest {
        gateway_id,
        ..import
    });
    let answer = ctx.catalog().import_from_gateway(request).await?;
    let answer = answer.into_inner();
    Ok(List::new(answer.items, answer.next))
}
