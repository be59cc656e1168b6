//! `/relays`: how far each service has brought its events to the bus, and publishing them again.

use axum::Json;
use http::StatusCode;
use portico_proto::operations::v1::{
    ListRelaysRequest, ListRelaysResponse, RepublishRequest,
    operations_service_server::OperationsService as _,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::input::OptionalBody;
use crate::edge::{Edge, operations::Operations, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_relays))
        .routes(routes!(republish))
}

/// How far each service has published its events.
#[utoipa::path(get, path = "/relays", tag = "Operations", responses((status = 200, body = ListRelaysResponse)))]
async fn list_relays(ctx: RequestContext) -> Result<Json<ListRelaysResponse>> {
    let request = ctx.request(ListRelaysRequest {});
    let relays = Operations::new(ctx.edge()).list_relays(request).await?;
    Ok(Json(relays.into_inner()))
}

/// Republishes events. Consumers recognise those they have processed.
#[utoipa::path(post, path = "/relays/republish", tag = "Operations", request_body = Option<RepublishRequest>, responses((status = 202, body = ListRelaysResponse)))]
async fn republish(
    ctx: RequestContext,
    OptionalBody(again): OptionalBody<RepublishRequest>,
) -> Result<(StatusCode, Json<ListRelaysResponse>)> {
    let request = ctx.request(again);
    let relays = Operations::new(ctx.edge()).republish(request).await?;
    Ok((StatusCode::ACCEPTED, Json(relays.into_inner())))
}
