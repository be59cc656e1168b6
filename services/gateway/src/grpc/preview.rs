//! What an approval would change at gateways. Nothing is written.

#[cfg(test)]
mod tests;

use portico_proto::access::v1::ApprovedItem;
use portico_proto::gateway::v1::preview_mapping_request::Credential;
use portico_proto::{Error, gateway::v1 as api};
use portico_runtime::{Caller, parse_id, query_error};
use tonic::Request;
use uuid::Uuid;

use super::Grpc;
use crate::item::{Item, Product};
use crate::known::KnownApplication;
use crate::views::gateways as view;
use crate::views::grants::Grant;

/// An admin or a service.
pub(crate) async fn preview_mapping(
    grpc: &Grpc,
    request: Request<api::PreviewMappingRequest>,
) -> Result<api::PreviewMappingResponse, Error> {
    Caller::of(&request).require_admin_or_service()?;
    let message = request.into_inner();
    let provider = match &message.credential {
        Some(Credential::IdentityProviderId(id)) => parse_id("identity_provider_id", id)?,
        Some(Credential::ApiKey(_)) => return of_keys(grpc, message).await,
        None => {
            let right = "`credential` must be `identity_provider_id` or `api_key`.";
            return Err(Error::field("credential", "credential_missing", right));
        }
    };
    let items = message.items.into_iter();
    let grants: Vec<Grant> = items.map(|item| grant(item, Some(provider))).collect();
    let mut answer = api::PreviewMappingResponse {
        obstacles: grpc.mapper.obstacles(&grants).await.map_err(query_error)?,
        ..Default::default()
    };
    match grpc.mapper.preview(&grants).await {
        Ok(changes) => answer.changes = changes,
        // A gateway that does not answer does not spoil the rest of the preview.
        Err(failure) => answer
            .changes
            .push(format!("Not known: {}", failure.reason)),
    }
    Ok(answer)
}

/// A key for each product and gateway, with its policies.
async fn of_keys(
    grpc: &Grpc,
    message: api::PreviewMappingRequest,
) -> Result<api::PreviewMappingResponse, Error> {
    let mut answer = api::PreviewMappingResponse {
        obstacles: suspended(grpc, &message.application_id).await?,
        ..Default::default()
    };
    for item in message.items {
        of_item(grpc, item, &mut answer).await?;
    }
    Ok(answer)
}

async fn of_item(
    grpc: &Grpc,
    item: ApprovedItem,
    answer: &mut api::PreviewMappingResponse,
) -> Result<(), Error> {
    let grant = grant(item, None);
    if grant.apis.is_empty() {
        let product = &grant.product_name;
        let obstacle = format!("The product {product} has no API at a gateway.");
        answer.obstacles.push(obstacle);
        return Ok(());
    }
    let located = match grpc.mapper.located(&grant.apis).await {
        Ok(located) => located,
        Err(failure) => {
            answer.obstacles.push(failure.reason);
            return Ok(());
        }
    };
    let policies = [grant.product_policy(), grant.plan_policy()];
    for (gateway, api_ids) in located {
        let found = view::get(grpc.store.database().pool(), gateway).await;
        let gateway = found.map_err(query_error)?.unwrap_or_default();
        answer.keys.push(api::PreviewedKey {
            gateway_name: gateway.name,
            gateway_url: gateway.url,
            product_name: grant.product_name.clone(),
            api_ids,
            policies: policies.to_vec(),
        });
    }
    let named = [&grant.product_policy_id, &grant.plan_policy_id];
    let own = policies.iter().zip(named);
    let own = own.filter(|(_, named)| named.is_none());
    let lines =
        own.map(|(policy, _)| format!("The policy {policy} is made, or brought up to date"));
    answer.changes.extend(lines);
    Ok(())
}

async fn suspended(grpc: &Grpc, application: &str) -> Result<Vec<String>, Error> {
    // It may not be there yet.
    let Ok(id) = application.parse::<Uuid>() else {
        return Ok(Vec::new());
    };
    let newest = grpc.load::<KnownApplication>(id).await?.newest;
    let suspended = newest.is_some_and(|application| application.suspended);
    let obstacle = "The application is suspended; the keys are made when it is resumed.";
    Ok(suspended.then(|| obstacle.to_owned()).into_iter().collect())
}

fn grant(item: ApprovedItem, identity_provider_id: Option<Uuid>) -> Grant {
    let Item { product, plan } = item.into();
    let Product {
        id, name, scopes, ..
    } = product;
    // Later than every request there is.
    let request = Uuid::max().to_string();
    Grant {
        first_request: request.clone(),
        last_request: request,
        count: 1,
        identity_provider_id,
        product_id: id,
        product_name: name,
        product_scopes: scopes.into_iter().collect(),
        product_policy_id: product.policy_id,
        plan_id: plan.id,
        plan_name: plan.name,
        plan_scopes: plan.scopes.into_iter().collect(),
        plan_policy_id: plan.policy_id,
        rate: plan.rate,
        quota: plan.quota,
        apis: product.apis,
    }
}
