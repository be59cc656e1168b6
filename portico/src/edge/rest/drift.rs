//! `/drift`: changes made outside Portico at providers and gateways.

use axum::Json;
use http::StatusCode;
use portico_proto::operations::v1::{DriftReport, PlanDriftRequest, RepairDriftRequest};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::input::{OptionalBody, Query};
use crate::edge::{Edge, halves::drift, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(plan_drift))
        .routes(routes!(repair_drift))
}

/// Compares clients and gateways with what Portico set; changes nothing.
#[utoipa::path(get, path = "/drift", tag = "Drift", params(PlanDriftRequest), responses((status = 200, body = DriftReport)))]
async fn plan_drift(
    ctx: RequestContext,
    Query(query): Query<PlanDriftRequest>,
) -> Result<Json<DriftReport>> {
    Ok(Json(drift::plan(&ctx, query).await?))
}

/// Restores what Portico set. Client repairs continue after the response.
#[utoipa::path(post, path = "/drift/repair", tag = "Drift", request_body = Option<RepairDriftRequest>, responses((status = 202, body = DriftReport)))]
async fn repair_drift(
    ctx: RequestContext,
    OptionalBody(repair): OptionalBody<RepairDriftRequest>,
) -> Result<(StatusCode, Json<DriftReport>)> {
    let report = drift::repair(&ctx, repair).await?;
    Ok((StatusCode::ACCEPTED, Json(report)))
}
