//! Gateways.

mod contents;
mod draft;
mod simulation;
#[cfg(test)]
mod tests;

use portico_eventstore::ExecuteError;
use portico_proto::{Error, gateway::v1 as api};
use portico_runtime::lists::ListQuery;
use portico_runtime::{Call, concurrent_change, parse_id, query_error, store_error, vault_error};
use portico_vault::{Secret, VaultRef};
use tonic::Request;
use uuid::Uuid;

use super::Grpc;
use super::refusal::{name_taken, refuse_at};
use crate::gateway::{Command, Gateway, Rejection, Settings};
use crate::gateways::NO_OPERATION;
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
    let mut draft = Draft::from(request.into_inner()).checked(&grpc.deps.outgoing)?;
    unique(grpc, &draft.settings.name, id).await?;
    let secret = draft.secret.unwrap_or_else(|| Secret::new(""));
    let earlier = load(grpc, id).await?;
    // Repeated with its idempotency key: it was tested then.
    if earlier.state.is_active() {
        let found = earlier.state.settings.default_policy_id;
        if draft.default_policy_free && found == NO_OPERATION {
            draft.settings.default_policy_id = found;
        }
    } else {
        let free = draft.default_policy_free;
        draft::verify(grpc, &mut draft.settings, free, &secret).await?;
    }
    let secret = Kept::put(grpc, id, call.context.command_id, secret).await?;
    let command = Command::Add {
        settings: draft.settings,
        secret: secret.0,
    };
    let outcome = grpc
        .store
        .execute::<Gateway>(id, &command, &call.context)
        .await;
    match outcome {
        Ok(outcome) => secret.settle(grpc, None, outcome.state.secret).await,
        Err(error) => {
            secret.forget_after(grpc, &error).await;
            return Err(refuse_at(0, error));
        }
    }
    answer(grpc, id).await
}

/// An admin; a change of how the gateway is reached is tested first. The stored secret
/// goes to no other address than it was given for.
pub(crate) async fn update_gateway(
    grpc: &Grpc,
    request: Request<api::UpdateGatewayRequest>,
) -> Result<api::Gateway, Error> {
    let call = Call::of(&request, "update_gateway", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let id = parse_id("id", &message.id)?;
    let if_version = message.if_version;
    let loaded = load(grpc, id).await?;
    let before = &loaded.state;
    let Some(stored) = before.secret else {
        return Err(Error::not_found("gateway"));
    };
    let draft = Draft::of_change(message, &before.settings).checked(&grpc.deps.outgoing)?;
    let mut settings = draft.settings;
    let free = draft.default_policy_free;
    unique(grpc, &settings.name, id).await?;
    let reached = |settings: &Settings| {
        let Settings {
            name: _,
            kind,
            url,
            org_id,
            default_policy_id,
        } = settings.clone();
        (kind, url, org_id, default_policy_id)
    };
    if draft.secret.is_some() || reached(&settings) != reached(&before.settings) {
        let owner = Gateway::vault_owner(id);
        let secret = match &draft.secret {
            Some(secret) => secret.clone(),
            None => grpc
                .vault
                .get(&owner, &stored)
                .await
                .map_err(vault_error)?
                .ok_or_else(concurrent_change)?,
        };
        draft::verify(grpc, &mut settings, free, &secret).await?;
    }
    let kept = match draft.secret {
        Some(secret) => Some(Kept::put(grpc, id, call.context.command_id, secret).await?),
        None => None,
    };
    let command = Command::Change {
        settings,
        secret: kept.as_ref().map(|kept| kept.0),
    };
    // Nobody else may have changed it since it was loaded: the command holds all settings.
    let version = match if_version {
        0 => u64::try_from(loaded.version).unwrap_or_default(),
        given => given,
    };
    let outcome = grpc
        .store
        .execute_at::<Gateway>(id, version, &command, &call.context)
        .await;
    match (outcome, kept) {
        (Ok(outcome), Some(kept)) => kept.settle(grpc, Some(stored), outcome.state.secret).await,
        (Ok(_), None) => {}
        (Err(error), kept) => {
            if let Some(kept) = kept {
                kept.forget_after(grpc, &error).await;
            }
            return Err(refuse_at(if_version, error));
        }
    }
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
    if grants == 0 && load(grpc, id).await?.state.is_active() {
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
    let query = ListQuery::parse(&view::SORT, message.limit, &message.after, &message.sort)?;
    let pool = grpc.store.database().pool();
    let (gateways, next) = view::list(pool, &query).await.map_err(query_error)?;
    Ok(api::ListGatewaysResponse { gateways, next })
}

async fn load(grpc: &Grpc, id: Uuid) -> Result<portico_eventstore::Loaded<Gateway>, Error> {
    grpc.store.load::<Gateway>(id).await.map_err(store_error)
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

/// A secret that a call brought, in the vault before the command runs.
struct Kept(VaultRef);

impl Kept {
    /// The reference is derived from the command, so that a repetition finds it again.
    async fn put(grpc: &Grpc, id: Uuid, command: Uuid, secret: Secret) -> Result<Self, Error> {
        let reference = VaultRef(Uuid::new_v5(&command, format!("secret/{id}").as_bytes()));
        grpc.vault
            .put_at(reference, &Gateway::vault_owner(id), &secret)
            .await
            .map_err(vault_error)?;
        Ok(Self(reference))
    }

    /// After a command: only what the gateway refers to stays.
    async fn settle(self, grpc: &Grpc, before: Option<VaultRef>, after: Option<VaultRef>) {
        let all = [before, Some(self.0)].into_iter().flatten();
        let unused = all.filter(|reference| Some(*reference) != after);
        grpc.vault.discard(unused).await;
    }

    /// Takes out again what a refused command brought.
    async fn forget_after(self, grpc: &Grpc, error: &ExecuteError<Rejection>) {
        if error.is_refusal() {
            grpc.vault.discard([self.0]).await;
        }
    }
}
