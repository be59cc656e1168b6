//! `/drift`: drift: changes made outside Portico at providers and gateways.

use axum::Json;
use http::StatusCode;
use portico_proto::operations::v1::{self as proto, PlanDriftRequest, RepairDriftRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::given,
    input::{OptionalBody, Query},
};
use crate::edge::{
    Edge,
    drift::{self, Report},
    problem::Result,
    request::RequestContext,
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(plan_drift))
        .routes(routes!(repair_drift))
}

#[derive(Serialize, ToSchema)]
struct DriftReport {
    items: Vec<DriftItem>,
    /// There are more clients to look at.
    next: Option<String>,
    /// Clients that were looked at for this page. Gateways are looked at for the first one.
    looked_at: u32,
    /// Names what this page has shown; given to a repair, nothing else is repaired. Null where there is nothing.
    plan: Option<String>,
    /// Services that could not be asked, so that nothing is known of their part: `registration` or `gateway`.
    incomplete: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct DriftItem {
    /// `identity_provider` or `gateway`.
    place: String,
    place_id: String,
    place_name: String,
    /// Of a client: `client_deleted`, `scopes_changed`, `scopes_added`, `redirect_urls_changed`,
    /// `client_type_changed`, `name_changed`, `secret_changed`, `disabled`, `enabled`, `being_changed`. Of a gateway:
    /// `mapping_missing`, `mapping_changed`, `mapping_left_over`, `mapping_not_written`, `mapping_taken`,
    /// `policy_missing`, `policy_changed`, `key_source_changed`, `api_changed`, `api_missing`, `key_missing` (an API
    /// key). Of both: `not_readable`.
    kind: String,
    /// The client id, the API or the policy.
    subject: String,
    /// The member of the client's metadata or of the API, or the scope.
    member: Option<String>,
    wanted: Option<String>,
    found: Option<String>,
    application_id: Option<String>,
    /// `possible`, `not_possible`, `under_way`, `repaired` or `failed`.
    repair: String,
    detail: Option<String>,
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct DriftQuery {
    /// Clients that are looked at, 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
    /// Only this one.
    identity_provider_id: String,
    /// Only this one.
    gateway_id: String,
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct DriftRepair {
    /// Clients that are looked at, 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
    /// Only this one.
    identity_provider_id: String,
    /// Only this one.
    gateway_id: String,
    /// `plan` of the report that is to be applied; what has changed since then is left and reported.
    plan: String,
}

impl From<Report> for DriftReport {
    fn from(from: Report) -> Self {
        Self {
            items: from.items.into_iter().map(Into::into).collect(),
            next: given(from.next),
            looked_at: from.looked_at,
            plan: given(from.plan),
            incomplete: from.incomplete,
        }
    }
}

impl From<proto::DriftItem> for DriftItem {
    fn from(from: proto::DriftItem) -> Self {
        Self {
            place: from.place,
            place_id: from.place_id,
            place_name: from.place_name,
            kind: from.kind,
            subject: from.subject,
            member: given(from.member),
            wanted: given(from.wanted),
            found: given(from.found),
            application_id: given(from.application_id),
            repair: from.repair,
            detail: given(from.detail),
        }
    }
}

/// Compares clients and gateways with what Portico set; changes nothing.
#[utoipa::path(get, path = "/drift", tag = "Drift", params(DriftQuery), responses((status = 200, body = DriftReport)))]
async fn plan_drift(
    ctx: RequestContext,
    Query(query): Query<DriftQuery>,
) -> Result<Json<DriftReport>> {
    let query = PlanDriftRequest {
        limit: query.limit,
        after: query.after,
        identity_provider_id: query.identity_provider_id,
        gateway_id: query.gateway_id,
    };
    Ok(Json(drift::plan(&ctx, query).await?.into()))
}

/// Restores what Portico set. Client repairs continue after the response.
#[utoipa::path(post, path = "/drift/repair", tag = "Drift", request_body = Option<DriftRepair>, responses((status = 202, body = DriftReport)))]
async fn repair_drift(
    ctx: RequestContext,
    OptionalBody(repair): OptionalBody<DriftRepair>,
) -> Result<(StatusCode, Json<DriftReport>)> {
    let repair = RepairDriftRequest {
        limit: repair.limit,
        after: repair.after,
        identity_provider_id: repair.identity_provider_id,
        gateway_id: repair.gateway_id,
        plan: repair.plan,
    };
    let report = drift::repair(&ctx, repair).await?;
    Ok((StatusCode::ACCEPTED, Json(report.into())))
}
