//! Identity providers.

mod check;
mod draft;
mod secrets;
mod shown;
mod trust;

use portico_eventstore::ExecuteError;
use portico_proto::{Error, registration::v1 as api, rest::merge};
use portico_runtime::lists::{ListQuery, Search};
use portico_runtime::{Call, parse_id, query_error, require, store_error, vault_error};
use portico_vault::Owner;
use tonic::Request;
use uuid::Uuid;

use super::Grpc;
use super::refusal::{name_taken, refuse, refuse_at};
use crate::identity_provider::{Command, IdentityProvider, Location, OWNER, Rejection, Settings};
use crate::oauth_client::NOTICES;
use crate::providers::requirements;
use crate::views::{client_types, identity_providers, usage};
use crate::wire;
pub(super) use check::check_identity_provider;
use draft::Draft;
use secrets::Secrets;
use shown::shown;

/// An admin; the well-known document is verified before anything is stored.
pub(crate) async fn create_identity_provider(
    grpc: &Grpc,
    request: Request<api::CreateIdentityProviderRequest>,
) -> Result<api::IdentityProvider, Error> {
    let call = Call::of(&request, "create_identity_provider", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let id = call.new_id("identity_provider", &grpc.deps.clock);
    let entered = require("identity_provider", request.into_inner().identity_provider)?;
    let draft = Draft::read(entered, None, None)?;
    unique(grpc, &draft.name, id).await?;
    let earlier = grpc.load::<IdentityProvider>(id).await?;
    let location = match &earlier.settings {
        // Repeated with its idempotency key: what was verified then.
        Some(settings) => settings.location.clone(),
        None => check::verified(grpc, &draft.document, None).await?,
    };
    let (settings, secrets) = keep(grpc, &call, id, &draft, location, &earlier).await?;
    let command = Command::Add {
        settings,
        initial_access_token: secrets.token,
    };
    let run = run(grpc, &call, id, 0, &command, &secrets, &earlier).await;
    run.map_err(refuse)?;
    answer(grpc, id).await
}

/// An admin. A new `well_known_url`, also the same one again, and whatever says how to read it are verified first; a
/// new initial access token resumes a paused provider.
pub(crate) async fn update_identity_provider(
    grpc: &Grpc,
    request: Request<api::UpdateIdentityProviderRequest>,
) -> Result<api::IdentityProvider, Error> {
    let call = Call::of(&request, "update_identity_provider", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let id = parse_id("id", &message.id)?;
    let loaded = grpc.store.load::<IdentityProvider>(id).await;
    let loaded = loaded.map_err(store_error)?;
    let before = loaded.state.present()?;
    let mask = message.update_mask.as_ref();
    let entered = require("identity_provider", message.identity_provider)?;
    let merged = merge(wire::settings(before), entered, mask)?;
    let draft = Draft::read(merged, mask, Some(before))?;
    unique(grpc, &draft.name, id).await?;
    let location = match draft.moves {
        true => check::verified(grpc, &draft.document, Some(&before.location)).await?,
        false => before.location.clone(),
    };
    let (settings, secrets) = keep(grpc, &call, id, &draft, location, &loaded.state).await?;
    let command = Command::Change {
        settings,
        initial_access_token: draft.token_change(secrets.token),
        live_clients: clients(grpc, id).await?,
    };
    // Nobody else may have changed it since it was loaded: the command holds all settings.
    let version = match message.if_version {
        0 => loaded.version.unsigned_abs(),
        given => given,
    };
    let run = run(grpc, &call, id, version, &command, &secrets, &loaded.state).await;
    run.map_err(|error| refuse_at(message.if_version, error))?;
    answer(grpc, id).await
}

/// All settings, with references to their secrets, which are in the vault from here on.
async fn keep(
    grpc: &Grpc,
    call: &Call,
    id: Uuid,
    draft: &Draft,
    location: Location,
    before: &IdentityProvider,
) -> Result<(Settings, Secrets), Error> {
    let mut settings = draft.settings(location);
    let (new, stored) = (
        draft.token.secret().is_some(),
        before.initial_access_token.is_some(),
    );
    let has_token = draft.token.or(new, stored);
    requirements::check_chosen_method(&settings, has_token)?;
    let secrets = Secrets::keep(grpc, id, &call.context, draft).await?;
    secrets.refer(&mut settings, draft, before.settings.as_ref());
    Ok((settings, secrets))
}

/// Runs a command, and takes out of the vault what nothing refers to after it.
async fn run(
    grpc: &Grpc,
    call: &Call,
    id: Uuid,
    version: u64,
    command: &Command,
    secrets: &Secrets,
    before: &IdentityProvider,
) -> Result<(), ExecuteError<Rejection>> {
    let outcome = grpc
        .store
        .execute_at::<IdentityProvider>(id, version, command, &call.context)
        .await;
    match &outcome {
        Ok(outcome) => secrets.settle(grpc, before, &outcome.state).await,
        Err(error) => secrets.forget_after(grpc, error).await,
    }
    outcome.map(drop)
}

/// An admin; refused while client types or OAuth clients belong to it. Its secrets are erased.
pub(crate) async fn delete_identity_provider(
    grpc: &Grpc,
    request: Request<api::DeleteIdentityProviderRequest>,
) -> Result<api::DeleteIdentityProviderResponse, Error> {
    let call = Call::of(&request, "delete_identity_provider", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let id = parse_id("id", &message.id)?;
    let pool = grpc.pool();
    let command = Command::Delete {
        client_types: client_types::count_of_provider(pool, id)
            .await
            .map_err(query_error)?,
        live_clients: clients(grpc, id).await?,
    };
    grpc.execute::<IdentityProvider>(id, message.if_version, &command, &call.context)
        .await?;
    let owner = Owner::new(OWNER, id);
    grpc.vault.erase(&owner).await.map_err(vault_error)?;
    Ok(api::DeleteIdentityProviderResponse {})
}

/// An admin.
pub(crate) async fn set_secret_rotation(
    grpc: &Grpc,
    request: Request<api::SetSecretRotationRequest>,
) -> Result<api::IdentityProvider, Error> {
    let call = Call::of(&request, "set_secret_rotation", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let id = parse_id("identity_provider_id", &message.identity_provider_id)?;
    let days_before = match message.days_before {
        // The decider's word for no rotation.
        None => 0,
        Some(days) if days > 0 && NOTICES.contains(&days) => days,
        Some(_) => {
            let right = "`days_before` must be 30, 7 or 1, or absent for no rotation.";
            return Err(Error::field("days_before", "days_before_invalid", right));
        }
    };
    let command = Command::SetRotation { days_before };
    grpc.execute::<IdentityProvider>(id, message.if_version, &command, &call.context)
        .await?;
    answer(grpc, id).await
}

/// An admin or a service.
pub(crate) async fn get_identity_provider(
    grpc: &Grpc,
    request: Request<api::GetIdentityProviderRequest>,
) -> Result<api::IdentityProvider, Error> {
    let call = Call::of(&request, "get_identity_provider", &grpc.deps.clock)?;
    call.caller.require_admin_or_service()?;
    let id = parse_id("id", &request.get_ref().id)?;
    answer(grpc, id).await
}

/// An admin or a service.
pub(crate) async fn list_identity_providers(
    grpc: &Grpc,
    request: Request<api::ListIdentityProvidersRequest>,
) -> Result<api::ListIdentityProvidersResponse, Error> {
    let call = Call::of(&request, "list_identity_providers", &grpc.deps.clock)?;
    call.caller.require_admin_or_service()?;
    let message = request.into_inner();
    let query = ListQuery::parse(&identity_providers::SORT, &message)?;
    let search = Search::parse(&message.q)?;
    let pool = grpc.pool();
    let (identity_providers, next) = identity_providers::list(pool, &query, &search)
        .await
        .map_err(query_error)?;
    Ok(api::ListIdentityProvidersResponse {
        identity_providers: identity_providers.into_iter().map(shown).collect(),
        next,
    })
}

/// From the view; a deleted one is not there.
async fn answer(grpc: &Grpc, id: Uuid) -> Result<api::IdentityProvider, Error> {
    identity_providers::get(grpc.pool(), id)
        .await
        .map_err(query_error)?
        .map(shown)
        .ok_or_else(|| Error::not_found("identity provider"))
}

async fn unique(grpc: &Grpc, name: &str, id: Uuid) -> Result<(), Error> {
    let pool = grpc.pool();
    let taken = identity_providers::name_taken(pool, name, id)
        .await
        .map_err(query_error)?;
    if taken { Err(name_taken()) } else { Ok(()) }
}

async fn clients(grpc: &Grpc, id: Uuid) -> Result<u64, Error> {
    usage::of_provider(grpc.pool(), id)
        .await
        .map_err(query_error)
}
