//! What an approval would do for products that give API keys. Nothing is written.

use portico_proto::access::v1::ApprovedItem;
use portico_proto::{Error, registration::v1 as api};
use portico_runtime::{query_error, store_error};
use serde_json::{Value, json};
use uuid::Uuid;

use super::grant;
use crate::application::KnownApplication;
use crate::grpc::Grpc;
use crate::views::gateways as view;

/// A key for each product and gateway, with its policies.
pub(super) async fn preview(
    grpc: &Grpc,
    message: api::PreviewRegistrationRequest,
) -> Result<api::PreviewRegistrationResponse, Error> {
    let mut answer = api::PreviewRegistrationResponse {
        action: "create_keys".to_owned(),
        method: "POST".to_owned(),
        obstacles: obstacles(grpc, &message.application_id).await?,
        ..Default::default()
    };
    let mut keys = Vec::new();
    for item in message.items {
        of_item(grpc, item, &mut keys, &mut answer).await?;
    }
    answer.payload_json = Value::Array(keys).to_string();
    Ok(answer)
}

async fn of_item(
    grpc: &Grpc,
    item: ApprovedItem,
    keys: &mut Vec<Value>,
    answer: &mut api::PreviewRegistrationResponse,
) -> Result<(), Error> {
    let grant = grant(item, Uuid::nil());
    if grant.apis.is_empty() {
        let words = format!(
            "The product {} has no API at a gateway.",
            grant.product_name
        );
        answer.obstacles.push(words);
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
    for (gateway, apis) in located {
        let found = view::get(grpc.store.database().pool(), gateway).await;
        let gateway = found.map_err(query_error)?.unwrap_or_default();
        keys.push(json!({
            "gateway": gateway.name,
            "product": grant.product_name,
            "apis": apis,
            "apply_policies": policies,
        }));
        answer.endpoint.clone_from(&gateway.url);
    }
    let named = [&grant.product_policy_id, &grant.plan_policy_id];
    let own = policies
        .iter()
        .zip(named)
        .filter(|(_, named)| named.is_empty());
    let lines =
        own.map(|(policy, _)| format!("The policy {policy} is made, or brought up to date"));
    answer.mapping_changes.extend(lines);
    Ok(())
}

async fn obstacles(grpc: &Grpc, application: &str) -> Result<Vec<String>, Error> {
    let Ok(id) = application.parse::<Uuid>() else {
        return Ok(Vec::new());
    };
    let known = grpc.store.load::<KnownApplication>(id).await;
    let suspended = known
        .map_err(store_error)?
        .state
        .newest
        .is_some_and(|application| application.suspended);
    let words = "The application is suspended; the keys are made when it is resumed.";
    Ok(suspended.then(|| words.to_owned()).into_iter().collect())
}
