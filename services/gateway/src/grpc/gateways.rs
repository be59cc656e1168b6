//! Gateways.

mod contents;
mod draft;
mod simulation;
#[cfg(test)]
mod tests;

use portico_eventstore::ExecuteError;
use portico_proto::{Error, gateway::v1 as api, rest::merge};
use portico_runtime::lists::ListQuery;
use portico_runtime::{Call, concurrent_change, parse_id, query_error, require, vault_error};
use portico_vault::{Secret, VaultRef};
use tonic::Request;
use uuid::Uuid;

use super::Grpc;
use super::refusal::{name_taken, refuse_at};
use crate::gateway::{Command, Gateway, Rejection};
use crate::views::gateways as view;
use draft::Draft;

pub(crate) use contents::{list_gateway_contents, refresh_gateway_keys};
pub(crate) use simulation::simulate_gateway_call;

/// An admin; the gateway must answer and take the secret before anything is stored.
pub(crate) async fn create_gateway(
    grpc: &Grpc,
    request: Request<api::CreateGatewayRequest>,
) -> Result<api::Gateway, Error> {
    let call = Call::of(&request, "create_gateway", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let id = call.new_id("gateway", &grpc.deps.clock);
    let mut draft = Draft::new(
        require("gateway", request.into_inner().gateway)?,
        &grpc.deps.outgoing,
    )?;
    unique(grpc, &draft.settings.name, id).await?;
    let secret = draft.secret.clone().unwrap_or_else(|| Secret::new(""));
    let earlier = grpc.load::<Gateway>(id).await?;
    // Repeated with its idempotency key: it was tested then.
    if earlier.is_active() {
        draft.find_default_policy(&earlier.settings.default_policy_id);
    } else {
        draft.verify(grpc, &secret).await?;
    }
    let secret = put(grpc, &call, id, secret).await?;
    let command = Command::Add {
        settings: draft.settings,
        secret,
    };
    let secrets = [None, Some(secret)];
    run(grpc, &call, (id, 0), &command, secrets)
        .await
        .map_err(|error| refuse_at(0, error))?;
    answer(grpc, id).await
}

/// An admin; a change of how the gateway is reached is tested first. The stored secret goes to no other address than it
/// was given for.
pub(crate) async fn update_gateway(
    grpc: &Grpc,
    request: Request<api::UpdateGatewayRequest>,
) -> Result<api::Gateway, Error> {
    let call = Call::of(&request, "update_gateway", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let id = parse_id("id", &message.id)?;
    let present = answer(grpc, id).await?;
    // Nobody else may change it meanwhile: the command holds all settings.
    let version = match message.if_version {
        0 => present.version,
        expected => expected,
    };
    let before = grpc.load::<Gateway>(id).await?;
    let stored = before.secret.ok_or_else(concurrent_change)?;
    let mask = message.update_mask.as_ref();
    let with_secret = mask.is_none_or(|mask| mask.paths.iter().any(|path| path == "secret"));
    let merged = merge(present, require("gateway", message.gateway)?, mask)?;
    let mut draft = Draft::changed(merged, with_secret, &before.settings, &grpc.deps.outgoing)?;
    unique(grpc, &draft.settings.name, id).await?;
    if draft.secret.is_some() || !draft.is_reached_as(&before.settings) {
        let secret = kept_or_new(grpc, id, &stored, &draft).await?;
        draft.verify(grpc, &secret).await?;
    }
    let secret = match draft.secret {
        Some(secret) => Some(put(grpc, &call, id, secret).await?),
        None => None,
    };
    let command = Command::Change {
        settings: draft.settings,
        secret,
    };
    run(grpc, &call, (id, version), &command, [Some(stored), secret])
        .await
        .map_err(|error| refuse_at(message.if_version, error))?;
    answer(grpc, id).await
}

/// An admin; refused while something approved is mapped there. What Portico has left
/// there is taken away, if the gateway answers. Its secret is erased.
pub(crate) async fn delete_gateway(
    grpc: &Grpc,
    request: Request<api::DeleteGatewayRequest>,
) -> Result<api::DeleteGatewayResponse, Error> {
    let call = Call::of(&request, "delete_gateway", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let id = parse_id("id", &message.id)?;
    let pool = grpc.store.database().pool();
    let grants = view::uses(pool, id).await.map_err(query_error)?;
    if grants == 0 && grpc.load::<Gateway>(id).await?.is_active() {
        // What could not be taken away before would stay for ever.
        if let Err(failure) = grpc.mapper.tidy_up(id, &call.context).await {
            tracing::warn!(gateway = %id, %failure, "a gateway is deleted without being tidied up");
        }
    }
    let command = Command::Delete { grants };
    grpc.store
        .execute_at::<Gateway>(id, message.if_version, &command, &call.context)
        .await
        .map_err(portico_runtime::refuse)?;
    let owner = Gateway::vault_owner(id);
    grpc.vault.erase(&owner).await.map_err(vault_error)?;
    Ok(api::DeleteGatewayResponse {})
}

/// An admin or a service.
pub(crate) async fn get_gateway(
    grpc: &Grpc,
    request: Request<api::GetGatewayRequest>,
) -> Result<api::Gateway, Error> {
    let call = Call::of(&request, "get_gateway", &grpc.deps.clock)?;
    call.caller.require_admin_or_service()?;
    let id = parse_id("id", &request.get_ref().id)?;
    answer(grpc, id).await
}

/// An admin or a service.
pub(crate) async fn list_gateways(
    grpc: &Grpc,
    request: Request<api::ListGatewaysRequest>,
) -> Result<api::ListGatewaysResponse, Error> {
    let call = Call::of(&request, "list_gateways", &grpc.deps.clock)?;
    call.caller.require_admin_or_service()?;
    let message = request.into_inner();
    let query = ListQuery::parse(&view::SORT, &message)?;
    let pool = grpc.store.database().pool();
    let (gateways, next) = view::list(pool, &query).await.map_err(query_error)?;
    Ok(api::ListGatewaysResponse { gateways, next })
}

async fn answer(grpc: &Grpc, id: Uuid) -> Result<api::Gateway, Error> {
    view::get(grpc.store.database().pool(), id)
        .await
        .map_err(query_error)?
        .ok_or_else(|| Error::not_found("gateway"))
}

async fn unique(grpc: &Grpc, name: &str, id: Uuid) -> Result<(), Error> {
    let pool = grpc.store.database().pool();
    let taken = view::name_taken(pool, name, id)
        .await
        .map_err(query_error)?;
    if taken { Err(name_taken()) } else { Ok(()) }
}

/// The secret that a call brings, otherwise the stored one.
async fn kept_or_new(
    grpc: &Grpc,
    id: Uuid,
    stored: &VaultRef,
    draft: &Draft,
) -> Result<Secret, Error> {
    if let Some(secret) = &draft.secret {
        return Ok(secret.clone());
    }
    let found = grpc.vault.get(&Gateway::vault_owner(id), stored).await;
    found.map_err(vault_error)?.ok_or_else(concurrent_change)
}

/// Puts a secret that a call brings into the vault, before the command that refers to it. The reference is derived from
/// the command, so that a repetition finds it again.
async fn put(grpc: &Grpc, call: &Call, id: Uuid, secret: Secret) -> Result<VaultRef, Error> {
    let name = format!("secret/{id}");
    let reference = VaultRef(Uuid::new_v5(&call.context.command_id, name.as_bytes()));
    grpc.vault
        .put_at(reference, &Gateway::vault_owner(id), &secret)
        .await
        .map_err(vault_error)?;
    Ok(reference)
}

/// Runs a command at this version, 0: at any. Of the secrets before and after it only the one stays in the vault that
/// the gateway refers to then.
async fn run(
    grpc: &Grpc,
    call: &Call,
    (id, version): (Uuid, u64),
    command: &Command,
    [before, brought]: [Option<VaultRef>; 2],
) -> Result<(), ExecuteError<Rejection>> {
    let outcome = grpc
        .store
        .execute_at::<Gateway>(id, version, command, &call.context)
        .await;
    let unused = match &outcome {
        Ok(outcome) => [before, brought].map(|one| one.filter(|_| one != outcome.state.secret)),
        // What a refused command brought goes again; after any other failure it may be in use.
        Err(error) if error.is_refusal() => [None, brought],
        Err(_) => [None, None],
    };
    grpc.vault.discard(unused.into_iter().flatten()).await;
    outcome.map(drop)
}
