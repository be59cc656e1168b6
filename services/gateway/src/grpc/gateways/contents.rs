//! What is at a gateway, and the keys that it holds.

use std::collections::BTreeMap;

use portico_proto::{Error, gateway::v1 as api};
use portico_runtime::{Call, Caller, Page, parse_id};
use tonic::Request;

use super::super::refusal::failed;
use crate::gateways::{FoundApi, FoundPolicy, Inventory, Limit};
use crate::grpc::Grpc;

/// An admin or a service. By the ids of policies.
pub(crate) async fn list_gateway_contents(
    grpc: &Grpc,
    request: Request<api::ListGatewayContentsRequest>,
) -> Result<api::ListGatewayContentsResponse, Error> {
    Caller::of(&request).require_admin_or_service()?;
    let message = request.into_inner();
    let gateway = parse_id("gateway_id", &message.gateway_id)?;
    let page = Page::parse(&message)?;
    let reached = grpc.mapper.reach(gateway).await.map_err(failed)?;
    let session = reached.session();
    let default = session.default_policy_id;
    let inventory = reached
        .driver
        .inventory(&session)
        .await
        .map_err(|failure| failed(failure.into()))?;
    let Inventory { apis, mut policies } = inventory;
    policies.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some((after, _)) = &page.after {
        policies.retain(|policy| policy.id > *after);
    }
    let fetch = usize::try_from(page.fetch()).unwrap_or_default();
    policies.truncate(fetch);
    let apis: BTreeMap<String, FoundApi> = apis
        .into_iter()
        .map(|api| (api.api_id.clone(), api))
        .collect();
    let found = policies
        .into_iter()
        .map(|policy| shown(policy, &apis, default))
        .collect();
    let (policies, next) = page.cut(found, |policy: &api::GatewayPolicy| {
        (policy.id.clone(), policy.id.clone())
    });
    Ok(api::ListGatewayContentsResponse { policies, next })
}

fn shown(
    policy: FoundPolicy,
    apis: &BTreeMap<String, FoundApi>,
    default: &str,
) -> api::GatewayPolicy {
    let named = policy.api_ids.iter().map(|id| {
        let found = apis.get(id);
        api::GatewayApi {
            api_id: id.clone(),
            name: found.map(|api| api.name.clone()),
            listen_path: found.map(|api| api.listen_path.clone()),
        }
    });
    api::GatewayPolicy {
        apis: named.collect(),
        role: policy.role.into(),
        rate: policy.rate.map(limit),
        quota: policy.quota.map(limit),
        active: policy.active,
        own: policy.ours || policy.id == default,
        scopes: policy.scopes,
        name: policy.name,
        id: policy.id,
    }
}

/// An admin.
pub(crate) async fn refresh_gateway_keys(
    grpc: &Grpc,
    request: Request<api::RefreshGatewayKeysRequest>,
) -> Result<api::RefreshGatewayKeysResponse, Error> {
    let call = Call::of(&request, "refresh_gateway_keys", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let gateway = parse_id("gateway_id", &request.get_ref().gateway_id)?;
    let refreshed = grpc.mapper.refresh_keys(gateway).await.map_err(failed)?;
    Ok(api::RefreshGatewayKeysResponse { refreshed })
}

pub(super) fn limit(limit: Limit) -> api::SimulatedLimit {
    api::SimulatedLimit {
        requests: limit.requests,
        seconds: limit.seconds,
    }
}
