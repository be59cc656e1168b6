//! API keys: their state for whoever may see the application, the key itself for its owner, once.

#[cfg(test)]
mod tests;

use portico_proto::gateway::v1::{self as api, ApiKeyStatus};
use portico_proto::{Error, time};
use portico_runtime::{Call, Caller, parse_id, query_error, vault_error};
use tonic::Request;
use uuid::Uuid;

use super::Grpc;
use super::application::{owned, visible};
use crate::entitlement::{
    Command, Entitlement, Key, KeyCommand, Link, Rejection, WantedState, owner, place_in_vault,
};
use crate::item::Api;
use crate::views::entitlements::{self as view, Listed};
use crate::views::gateways;
use crate::worker::key_of;

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
    visible(grpc, &caller, id).await?;
    let api_keys = of_application(grpc, id, caller.sees_all()).await?;
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
    let attempt = listed
        .entitlement
        .keys()
        .get(&id)
        .map_or(0, |key| key.attempt);
    let place = place_in_vault(id, attempt);
    // Read before it is recorded: what cannot be read was not shown.
    let kept = grpc
        .vault
        .get(&owner(listed.request_id), &place)
        .await
        .map_err(vault_error)?;
    let command = KeyCommand::Reveal {
        key_id: id,
        at: call.context.now,
    };
    let listed = told(grpc, &call, &listed, message.if_version, command).await?;
    let shown_now = listed
        .entitlement
        .keys()
        .get(&id)
        .is_some_and(|key| key.attempt == attempt);
    let key = match kept.as_ref().and_then(key_of).filter(|_| shown_now) {
        Some(key) => key,
        // Repeated with its idempotency key, or replaced at this moment.
        None => return Err(Rejection::AlreadyRevealed.into()),
    };
    if let Err(error) = grpc.vault.delete(&place).await {
        // The key is recorded as shown, so nobody would see it if this call failed; the worker deletes it.
        tracing::warn!(api_key_id = %id, %error, "an API key that was shown is still in the vault");
    }
    Ok(api::RevealApiKeyResponse {
        api_key: Some(one(grpc, &listed, id, call.caller.sees_all()).await?),
        key: key.expose().to_owned(),
    })
}

/// The application's owner and nobody else. The old key works until the new one is there.
pub(crate) async fn replace_api_key(
    grpc: &Grpc,
    request: Request<api::ReplaceApiKeyRequest>,
) -> Result<api::ApiKey, Error> {
    let call = Call::of(&request, "replace_api_key", &grpc.deps.clock)?;
    let message = request.get_ref();
    let (id, listed) = mine(grpc, &call.caller, &message.id).await?;
    let command = KeyCommand::Replace { key_id: id };
    let listed = told(grpc, &call, &listed, message.if_version, command).await?;
    one(grpc, &listed, id, call.caller.sees_all()).await
}

/// All keys of an application. `placed`: with what they are at the gateway, which only operators may see.
async fn of_application(
    grpc: &Grpc,
    application: Uuid,
    placed: bool,
) -> Result<Vec<api::ApiKey>, Error> {
    let pool = grpc.store.database().pool();
    let mut keys = Vec::new();
    let listed = view::of_application(pool, application).await;
    for listed in listed.map_err(query_error)? {
        for (id, key) in listed.entitlement.keys() {
            if is_there(&listed.entitlement, key) {
                keys.push(one(grpc, &listed, *id, placed).await?);
            }
        }
    }
    Ok(keys)
}

/// The entitlement as it is after the command.
async fn told(
    grpc: &Grpc,
    call: &Call,
    listed: &Listed,
    if_version: u64,
    command: KeyCommand,
) -> Result<Listed, Error> {
    let (request_id, command) = (listed.request_id, Command::Key(command));
    let store = &grpc.store;
    let told = store.execute_at::<Entitlement>(request_id, if_version, &command, &call.context);
    let outcome = told.await.map_err(portico_runtime::refuse)?;
    Ok(Listed {
        request_id,
        entitlement: outcome.state,
        version: outcome.version,
    })
}

/// A key of an application that the caller owns; a stranger is told that there is none.
async fn mine(grpc: &Grpc, caller: &Caller, id: &str) -> Result<(Uuid, Listed), Error> {
    caller.require_user()?;
    let id = parse_id("id", id)?;
    let listed = view::of_key(grpc.store.database().pool(), id)
        .await
        .map_err(query_error)?
        .ok_or_else(|| Error::not_found("API key"))?;
    match owned(grpc, caller, listed.entitlement.application_id()).await {
        Ok(()) => Ok((id, listed)),
        Err(error) if error.kind == portico_proto::Kind::NotFound => {
            Err(Error::not_found("API key"))
        }
        Err(error) => Err(error),
    }
}

async fn one(grpc: &Grpc, listed: &Listed, id: Uuid, placed: bool) -> Result<api::ApiKey, Error> {
    let key = listed.entitlement.keys().get(&id);
    let key = key.ok_or_else(|| Error::not_found("API key"))?;
    let placement = match placed {
        true => Some(placement(grpc, key).await?),
        false => None,
    };
    Ok(shown(listed, id, key, placement))
}

async fn placement(grpc: &Grpc, key: &Key) -> Result<api::KeyPlacement, Error> {
    let pool = grpc.store.database().pool();
    let name = gateways::name(pool, key.gateway_id).await;
    Ok(api::KeyPlacement {
        gateway_id: key.gateway_id.to_string(),
        gateway_name: name.map_err(query_error)?,
    })
}

/// Whether there is anything to tell of it.
fn is_there(entitlement: &Entitlement, key: &Key) -> bool {
    let revoked = entitlement.state() == Some(WantedState::Revoked);
    key.may_exist() || (key.needed && !revoked)
}

/// With a placement, also with the ids of APIs.
fn shown(
    listed: &Listed,
    id: Uuid,
    key: &Key,
    placement: Option<api::KeyPlacement>,
) -> api::ApiKey {
    let entitlement = &listed.entitlement;
    let item = entitlement.item(&key.product_id);
    let made = key.made();
    let revealed_at = made.and_then(|made| made.revealed_at);
    api::ApiKey {
        id: id.to_string(),
        access_request_id: listed.request_id.to_string(),
        application_id: entitlement.application_id().to_string(),
        product_id: key.product_id.clone(),
        product_name: item.map_or_else(String::new, |item| item.product.name.clone()),
        plan_id: item.map_or_else(String::new, |item| item.plan.id.clone()),
        plan_name: item.map_or_else(String::new, |item| item.plan.name.clone()),
        status: status(entitlement, key).into(),
        hash_prefix: made.map(|made| made.hash.chars().take(PREFIX).collect()),
        created_at: made.map(|made| time::to_proto(made.at)),
        revealed: revealed_at.is_some(),
        revealed_at: revealed_at.map(time::to_proto),
        header_name: HEADER.to_owned(),
        apis: item.map_or_else(Vec::new, |item| {
            apis(key, &item.product.apis, placement.is_some())
        }),
        placement,
        last_error: entitlement.last_error().map(|error| error.message.clone()),
        next_try_at: entitlement
            .delay
            .as_ref()
            .map(|delay| time::to_proto(delay.next_try_at)),
        version: listed.version.unsigned_abs(),
    }
}

/// The product's APIs at the key's gateway.
fn apis(key: &Key, of_product: &[Api], placed: bool) -> Vec<api::OpenedApi> {
    let header = |api_id| key.made().and_then(|made| made.headers.get(api_id));
    let here = of_product
        .iter()
        .filter(|api| key.api_ids.contains(&api.api_id));
    let opened = here.map(|api| api::OpenedApi {
        mapping: placed.then(|| api::ApiAtGateway {
            api_id: api.api_id.clone(),
        }),
        name: api.name.clone(),
        url: Some(api.url.clone()).filter(|url| !url.is_empty()),
        header_name: header(&api.api_id)
            .map_or(HEADER, String::as_str)
            .to_owned(),
        // The edge's: what a shell quotes is no concern of this service.
        command: None,
    });
    opened.collect()
}

fn status(entitlement: &Entitlement, key: &Key) -> ApiKeyStatus {
    let wanted = entitlement.is_wanted() && key.needed;
    match &key.link {
        _ if !wanted && key.may_exist() => ApiKeyStatus::Deleting,
        _ if !wanted => ApiKeyStatus::Suspended,
        Link::Made(_) => ApiKeyStatus::Ready,
        _ if entitlement.failed.is_some() => ApiKeyStatus::Failed,
        _ if key.old.is_some() => ApiKeyStatus::Replacing,
        Link::None | Link::Intended => ApiKeyStatus::Waiting,
    }
}
