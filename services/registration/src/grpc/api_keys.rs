//! API keys: their state for whoever may see the application, the key itself for its owner, once.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use portico_proto::access::v1::ApprovedApi;
use portico_proto::{Error, registration::v1 as api};
use portico_runtime::{Call, Caller, parse_id, query_error};
use portico_vault::Secret;
use tonic::Request;
use uuid::Uuid;

use super::Grpc;
use super::clients::{application, owned};
use super::refusal::{refuse, vault_error};
use crate::key_order::{Command, Key, KeyOrder, Link, Rejection, owner, place_in_vault};
use crate::key_worker::key_of;
use crate::views::key_orders::{self as view, ListedOrder};

/// Where Tyk's auth token goes, without a scheme before it.
const HEADER: &str = "Authorization";
/// What of a hash is enough to tell keys apart.
const PREFIX: usize = 8;

/// Who may see the application: its owner, or an admin.
pub(crate) async fn list_api_keys(
    grpc: &Grpc,
    request: Request<api::ListApiKeysRequest>,
) -> Result<api::ListApiKeysResponse, Error> {
    let caller = Caller::of(&request);
    caller.require_known()?;
    let id = parse_id("application_id", &request.get_ref().application_id)?;
    application(grpc, &caller, id).await?;
    let api_keys = of_application(grpc, id).await?;
    Ok(api::ListApiKeysResponse { api_keys })
}

/// The application's owner and nobody else, not even an admin; recorded. What was shown is not kept: a call whose
/// answer was lost is no different, for whoever got it may have the key.
pub(crate) async fn reveal_api_key(
    grpc: &Grpc,
    request: Request<api::RevealApiKeyRequest>,
) -> Result<api::RevealApiKeyResponse, Error> {
    let call = Call::of(&request, "reveal_api_key", &grpc.deps.clock)?;
    let message = request.get_ref();
    let (id, listed) = mine(grpc, &call.caller, &message.id).await?;
    let attempt = listed.order.keys.get(&id).map_or(0, |key| key.attempt);
    let place = place_in_vault(id, attempt);
    // Read before it is recorded: what cannot be read was not shown.
    let kept = grpc
        .vault
        .get(&owner(listed.id), &place)
        .await
        .map_err(vault_error)?;
    let command = Command::Reveal {
        key_id: id,
        at: call.context.now,
    };
    let outcome = grpc
        .store
        .execute_at::<KeyOrder>(listed.id, message.if_version, &command, &call.context)
        .await
        .map_err(refuse)?;
    let shown_now = outcome
        .state
        .keys
        .get(&id)
        .is_some_and(|key| key.attempt == attempt);
    let key = match kept.as_ref().and_then(key_of).filter(|_| shown_now) {
        Some(key) => key,
        // Repeated with its idempotency key, or replaced at this moment.
        None => return Err(Rejection::AlreadyRevealed.into()),
    };
    grpc.vault.delete(&place).await.map_err(vault_error)?;
    answered(grpc, listed.id, &outcome.state, outcome.version, id, &key).await
}

/// The application's owner and nobody else. The old key works until the new one is there.
pub(crate) async fn replace_api_key(
    grpc: &Grpc,
    request: Request<api::ReplaceApiKeyRequest>,
) -> Result<api::ApiKey, Error> {
    let call = Call::of(&request, "replace_api_key", &grpc.deps.clock)?;
    let message = request.get_ref();
    let (id, listed) = mine(grpc, &call.caller, &message.id).await?;
    let command = Command::Replace { key_id: id };
    let outcome = grpc
        .store
        .execute_at::<KeyOrder>(listed.id, message.if_version, &command, &call.context)
        .await
        .map_err(refuse)?;
    one(grpc, listed.id, &outcome.state, outcome.version, id).await
}

/// All keys of an application, whoever asks.
pub(super) async fn of_application(
    grpc: &Grpc,
    application: Uuid,
) -> Result<Vec<api::ApiKey>, Error> {
    let pool = grpc.store.database().pool();
    let mut keys = Vec::new();
    for listed in view::of_application(pool, application)
        .await
        .map_err(query_error)?
    {
        for (id, key) in listed
            .order
            .keys
            .iter()
            .filter(|(_, key)| is_there(&listed.order, key))
        {
            let gateway = view::gateway_name(pool, key.gateway_id)
                .await
                .map_err(query_error)?;
            keys.push(shown(
                listed.id,
                &listed.order,
                listed.version,
                *id,
                key,
                gateway,
            ));
        }
    }
    Ok(keys)
}

/// A key of an application that the caller owns; a stranger is told that there is none.
async fn mine(grpc: &Grpc, caller: &Caller, id: &str) -> Result<(Uuid, ListedOrder), Error> {
    caller.require_user()?;
    let id = parse_id("id", id)?;
    let listed = view::of_key(grpc.store.database().pool(), id)
        .await
        .map_err(query_error)?
        .ok_or_else(|| Error::not_found("API key"))?;
    match owned(grpc, caller, listed.order.application_id).await {
        Ok(()) => Ok((id, listed)),
        Err(error) if error.kind == portico_proto::Kind::NotFound => {
            Err(Error::not_found("API key"))
        }
        Err(error) => Err(error),
    }
}

async fn answered(
    grpc: &Grpc,
    request: Uuid,
    order: &KeyOrder,
    version: i64,
    id: Uuid,
    key: &Secret,
) -> Result<api::RevealApiKeyResponse, Error> {
    Ok(api::RevealApiKeyResponse {
        api_key: Some(one(grpc, request, order, version, id).await?),
        key: key.expose().to_owned(),
    })
}

async fn one(
    grpc: &Grpc,
    request: Uuid,
    order: &KeyOrder,
    version: i64,
    id: Uuid,
) -> Result<api::ApiKey, Error> {
    let key = order
        .keys
        .get(&id)
        .ok_or_else(|| Error::not_found("API key"))?;
    let gateway = view::gateway_name(grpc.store.database().pool(), key.gateway_id)
        .await
        .map_err(query_error)?;
    Ok(shown(request, order, version, id, key, gateway))
}

/// Whether there is anything to tell of it.
fn is_there(order: &KeyOrder, key: &Key) -> bool {
    key.may_exist() || (key.needed && order.stage_is_granted())
}

fn shown(
    request: Uuid,
    order: &KeyOrder,
    version: i64,
    id: Uuid,
    key: &Key,
    gateway_name: String,
) -> api::ApiKey {
    let item = order.item(&key.product_id);
    let apis = item.into_iter().flat_map(|item| &item.apis);
    let apis = apis
        .filter(|api| key.api_ids.contains(&api.api_id))
        .map(|api| ApprovedApi {
            api_id: api.api_id.clone(),
            name: api.name.clone(),
            url: api.url.clone(),
            gateway_id: api.gateway_id.clone(),
        });
    let made = key.made();
    let words = order.last_error();
    api::ApiKey {
        id: id.to_string(),
        request_id: request.to_string(),
        application_id: order.application_id.to_string(),
        product_id: key.product_id.clone(),
        product_name: item.map_or_else(String::new, |item| item.product_name.clone()),
        plan_id: item.map_or_else(String::new, |item| item.plan_id.clone()),
        plan_name: item.map_or_else(String::new, |item| item.plan_name.clone()),
        gateway_id: key.gateway_id.to_string(),
        gateway_name,
        status: status(order, key).to_owned(),
        hash_prefix: made.map_or_else(String::new, |made| made.hash.chars().take(PREFIX).collect()),
        created_at: made.map_or_else(String::new, |made| made.at.to_string()),
        revealed_at: made
            .and_then(|made| made.revealed_at)
            .map_or_else(String::new, |at| at.to_string()),
        version: u64::try_from(version).unwrap_or_default(),
        last_error: words.map_or_else(String::new, |words| words.reason.clone()),
        next_try_at: order
            .delay
            .as_ref()
            .map_or_else(String::new, |delay| delay.next_try_at.to_string()),
        header_name: HEADER.to_owned(),
        header_names: made.map_or_else(HashMap::new, |made| {
            let headers = made.headers.iter();
            headers
                .map(|(api, name)| (api.clone(), name.clone()))
                .collect()
        }),
        apis: apis.collect(),
    }
}

/// As the API has it.
fn status(order: &KeyOrder, key: &Key) -> &'static str {
    let wanted = order.is_wanted() && key.needed;
    match &key.link {
        _ if !wanted && key.may_exist() => "deleting",
        _ if !wanted => "suspended",
        Link::Made(_) => "ready",
        _ if order.failed.is_some() => "failed",
        _ if key.old.is_some() => "replacing",
        Link::None | Link::Intended => "waiting",
    }
}
