//! `/gateways`: where access is enforced.

mod held_scopes;
mod import;
mod work;

use http::StatusCode;
use portico_proto::gateway::v1::{
    self as proto, CreateGatewayRequest, DeleteGatewayRequest, GetGatewayRequest,
    ListGatewaysRequest, UpdateGatewayRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single, given},
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

#[derive(Serialize, ToSchema)]
struct Gateway {
    id: String,
    name: String,
    /// `tyk` or `tyk-dashboard`.
    r#type: String,
    /// Base URL of its control API, or of its Dashboard.
    url: String,
    org_id: Option<String>,
    /// The No-Operation policy, the default of APIs with scope mapping.
    default_policy_id: Option<String>,
    status: String,
    version: u64,
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct NewGateway {
    name: String,
    /// `tyk` or `tyk-dashboard`.
    r#type: String,
    /// Base URL of its control API, or of its Dashboard.
    url: String,
    /// Of the control API, or the key of a user of the Dashboard; never answered.
    secret: String,
    org_id: Option<String>,
    default_policy_id: Option<String>,
}

/// What is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GatewayChange {
    name: Option<String>,
    url: Option<String>,
    secret: Option<String>,
    org_id: Option<String>,
    default_policy_id: Option<String>,
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct GatewayQuery {
    /// 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
    /// `name`, `-name`, `created_at` or `-created_at`.
    sort: String,
}

/// A page of what is at a gateway, in the gateway's own order.
#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct ContentsQuery {
    /// 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
}

impl From<proto::Gateway> for Gateway {
    fn from(from: proto::Gateway) -> Self {
        Self {
            id: from.id,
            name: from.name,
            r#type: from.r#type,
            url: from.url,
            org_id: given(from.org_id),
            default_policy_id: given(from.default_policy_id),
            status: from.status,
            version: from.version,
            created_at: given(from.created_at),
            updated_at: given(from.updated_at),
        }
    }
}

impl From<proto::Gateway> for Single<Gateway> {
    fn from(from: proto::Gateway) -> Self {
        Self::ok(from.version, from.into())
    }
}

/// Gateways.
#[utoipa::path(get, path = "/gateways", tag = "Gateways", params(GatewayQuery), responses((status = 200, body = List<Gateway>)))]
async fn list_gateways(
    ctx: RequestContext,
    Query(query): Query<GatewayQuery>,
) -> Result<List<Gateway>> {
    let request = ctx.request(ListGatewaysRequest {
        limit: query.limit,
        after: query.after,
        sort: query.sort,
    });
    let page = ctx.gateway().list_gateways(request).await?.into_inner();
    Ok(List::new(page.gateways, page.next))
}

/// Adds a gateway.
#[utoipa::path(post, path = "/gateways", tag = "Gateways", request_body = NewGateway, responses((status = 201, body = Gateway)))]
async fn create_gateway(
    ctx: RequestContext,
    Body(new): Body<NewGateway>,
) -> Result<Single<Gateway>> {
    let request = CreateGatewayRequest {
        name: new.name,
        r#type: new.r#type,
        url: new.url,
        secret: new.secret,
        org_id: new.org_id.unwrap_or_default(),
        default_policy_id: new.default_policy_id.unwrap_or_default(),
    };
    let gateway = ctx
        .gateway()
        .create_gateway(ctx.request(request))
        .await?
        .into_inner();
    Ok(Single::created(
        &format!("gateways/{}", gateway.id),
        gateway.version,
        gateway.into(),
    ))
}

/// One gateway.
#[utoipa::path(get, path = "/gateways/{id}", tag = "Gateways", responses((status = 200, body = Gateway)))]
async fn get_gateway(ctx: RequestContext, Id(id): Id) -> Result<Single<Gateway>> {
    let request = ctx.request(GetGatewayRequest { id });
    Ok(ctx
        .gateway()
        .get_gateway(request)
        .await?
        .into_inner()
        .into())
}

/// Updates the fields present in the body.
#[utoipa::path(patch, path = "/gateways/{id}", tag = "Gateways", request_body = GatewayChange, responses((status = 200, body = Gateway)))]
async fn update_gateway(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
    Body(change): Body<GatewayChange>,
) -> Result<Single<Gateway>> {
    let request = UpdateGatewayRequest {
        id,
        if_version,
        name: change.name,
        url: change.url,
        secret: change.secret,
        org_id: change.org_id,
        default_policy_id: change.default_policy_id,
    };
    Ok(ctx
        .gateway()
        .update_gateway(ctx.request(request))
        .await?
        .into_inner()
        .into())
}

/// Deletes the gateway.
#[utoipa::path(delete, path = "/gateways/{id}", tag = "Gateways", responses((status = 204)))]
async fn delete_gateway(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
) -> Result<StatusCode> {
    let request = ctx.request(DeleteGatewayRequest { id, if_version });
    ctx.gateway().delete_gateway(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
