//! What can be asked of a gateway: a simulated call, what is there, new keys.

use axum::Json;
use portico_proto::gateway::v1::{
    self as proto, ListGatewayContentsRequest, RefreshGatewayKeysRequest,
    SimulateGatewayCallRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    answer::{List, Unstored, given},
    input::{Body, Id, Query},
    values::Scopes,
};
use super::ContentsQuery;
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(simulate_gateway_call))
        .routes(routes!(list_gateway_policies))
        .routes(routes!(refresh_gateway_keys))
}

/// A call as the gateway would see it. Neither scopes nor token: a token without a scope claim.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct SimulatedCall {
    /// The API's id at the gateway.
    api_id: String,
    scopes: Scopes,
    /// A JWT, of which only the claims are used; not together with scopes. It is neither stored nor logged.
    token: Option<String>,
}

/// Result of a simulated call.
#[derive(Serialize, ToSchema)]
struct SimulatedAnswer {
    /// HTTP status; 200 where the call goes through to the API.
    status: u32,
    /// The gateway's own message.
    message: Option<String>,
    /// In the order in which they are applied.
    policies: Vec<ResolvedPolicy>,
    /// Null: no limit, or the call does not go through.
    rate: Option<SimulatedLimit>,
    quota: Option<SimulatedLimit>,
    /// Lead to nothing at this API.
    unmapped_scopes: Vec<String>,
    notes: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct ResolvedPolicy {
    id: String,
    name: Option<String>,
    /// Why it takes part.
    because: String,
    /// Whether it is at the gateway.
    found: bool,
    /// Whether it opens this API.
    opens: bool,
    /// Whether it limits this API.
    limits: bool,
}

#[derive(Serialize, ToSchema)]
struct SimulatedLimit {
    requests: u64,
    seconds: u64,
}

/// A policy at a gateway.
#[derive(Serialize, ToSchema)]
struct GatewayPolicy {
    id: String,
    name: String,
    /// `product`: opens APIs; `plan`: limits; `both`: cannot be combined; `other`.
    role: String,
    apis: Vec<GatewayApi>,
    rate: Option<SimulatedLimit>,
    quota: Option<SimulatedLimit>,
    /// Lead to it at any API.
    scopes: Scopes,
    active: bool,
    /// Portico made it, or it is the default policy.
    own: bool,
}

#[derive(Serialize, ToSchema)]
struct GatewayApi {
    api_id: String,
    name: Option<String>,
    /// Where the gateway serves it.
    listen_path: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct RefreshedKeys {
    /// False where the gateway cannot be told to: it keeps keys for some minutes then.
    refreshed: bool,
}

impl From<proto::SimulatedLimit> for SimulatedLimit {
    fn from(from: proto::SimulatedLimit) -> Self {
        Self {
            requests: from.requests,
            seconds: from.seconds,
        }
    }
}

impl From<proto::SimulateGatewayCallResponse> for SimulatedAnswer {
    fn from(from: proto::SimulateGatewayCallResponse) -> Self {
        let policies = from.policies.into_iter().map(|policy| ResolvedPolicy {
            id: policy.id,
            name: given(policy.name),
            because: policy.because,
            found: policy.found,
            opens: policy.opens,
            limits: policy.limits,
        });
        Self {
            status: from.status,
            message: given(from.message),
            policies: policies.collect(),
            rate: from.rate.map(Into::into),
            quota: from.quota.map(Into::into),
            unmapped_scopes: from.unmapped_scopes,
            notes: from.notes,
        }
    }
}

impl From<proto::GatewayPolicy> for GatewayPolicy {
    fn from(from: proto::GatewayPolicy) -> Self {
        let apis = from.apis.into_iter().map(|api| GatewayApi {
            api_id: api.api_id,
            name: given(api.name),
            listen_path: given(api.listen_path),
        });
        Self {
            apis: apis.collect(),
            rate: from.rate.map(Into::into),
            quota: from.quota.map(Into::into),
            scopes: Scopes(from.scopes),
            id: from.id,
            name: from.name,
            role: from.role,
            active: from.active,
            own: from.own,
        }
    }
}

/// Simulates a call against the gateway's present configuration.
#[utoipa::path(post, path = "/gateways/{id}/simulate", tag = "Gateways", request_body = SimulatedCall, responses((status = 200, body = SimulatedAnswer)))]
async fn simulate_gateway_call(
    ctx: RequestContext,
    Id(gateway_id): Id,
    Body(call): Body<SimulatedCall>,
) -> Result<Unstored<Json<SimulatedAnswer>>> {
    let request = ctx.request(SimulateGatewayCallRequest {
        gateway_id,
        api_id: call.api_id,
        scopes: call.scopes.0,
        token: call.token.unwrap_or_default(),
    });
    let answer = ctx.gateway().simulate_gateway_call(request).await?;
    Ok(Unstored(Json(answer.into_inner().into())))
}

/// The policies at a gateway and the APIs they open.
#[utoipa::path(get, path = "/gateways/{id}/policies", tag = "Gateways", params(ContentsQuery), responses((status = 200, body = List<GatewayPolicy>)))]
async fn list_gateway_policies(
    ctx: RequestContext,
    Id(gateway_id): Id,
    Query(query): Query<ContentsQuery>,
) -> Result<List<GatewayPolicy>> {
    let request = ctx.request(ListGatewayContentsRequest {
        gateway_id,
        limit: query.limit,
        after: query.after,
    });
    let page = ctx
        .gateway()
        .list_gateway_contents(request)
        .await?
        .into_inner();
    Ok(List::new(page.policies, page.next))
}

/// Makes the gateway fetch the identity providers' keys again.
#[utoipa::path(post, path = "/gateways/{id}/refresh-keys", tag = "Gateways", responses((status = 200, body = RefreshedKeys)))]
async fn refresh_gateway_keys(
    ctx: RequestContext,
    Id(gateway_id): Id,
) -> Result<Json<RefreshedKeys>> {
    let request = ctx.request(RefreshGatewayKeysRequest { gateway_id });
    let answer = ctx.gateway().refresh_gateway_keys(request).await?;
    let refreshed = answer.into_inner().refreshed;
    Ok(Json(RefreshedKeys { refreshed }))
}
