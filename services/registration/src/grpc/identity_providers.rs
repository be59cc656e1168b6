//! Identity providers.

mod check;
mod secrets;

use portico_proto::{Error, registration::v1 as api};
use portico_runtime::lists::{ListQuery, Search};
use portico_runtime::{Call, Problems, parse_id, query_error, store_error, vault_error};
use portico_vault::{Owner, Secret};
use tonic::Request;
use uuid::Uuid;

use super::Grpc;
use super::refusal::{name_taken, refuse, refuse_at};
use crate::identity_provider::{
    Command, Draft, IdentityProvider, ManagementRef, Method, OWNER, Options, ProviderType,
    Settings, TokenChange,
};
use crate::oauth_client::NOTICES;
use crate::providers::{DRIVERS, provider_type, requirements};
use crate::views::identity_providers::{self, Listed};
use crate::views::{client_types, usage};
pub(super) use check::check_identity_provider;
use secrets::Secrets;

/// An admin; the well-known document is verified before anything is stored.
pub(crate) async fn create_identity_provider(
    grpc: &Grpc,
    request: Request<api::CreateIdentityProviderRequest>,
) -> Result<api::IdentityProvider, Error> {
    let call = Call::of(&request, "create_identity_provider", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let id = call.new_id("identity_provider", &grpc.deps.clock);
    let message = request.into_inner();
    let mut problems = Problems::default();
    let kind = kind_of(&mut problems, &message.r#type);
    let draft = draft_of(message).checked(problems)?;
    let management = draft.management(None)?;
    let has_token = draft.token()?.is_some_and(|token| !token.is_empty());
    let name = draft.name.clone().unwrap_or_default();
    unique(grpc, &name, id).await?;
    let earlier = grpc.store.load::<IdentityProvider>(id).await;
    let location = match earlier.map_err(store_error)?.state.settings {
        // Repeated with its idempotency key: what was verified then.
        Some(settings) => settings.location,
        None => check::verified(grpc, &draft, None).await?,
    };
    let client_id = management.map(|(client_id, _)| client_id);
    let mut settings = Settings {
        name,
        kind,
        location,
        scope_claim: draft.scope_claim.clone().unwrap_or_default(),
        management: client_id.clone().map(ManagementRef::unknown),
        authorization: draft.authorization(None),
        options: draft.options(&Options::default()),
        software_statement: None,
    };
    requirements::check_chosen_method(&settings, has_token)?;
    let secrets = Secrets::keep(grpc, id, &call.context, &draft).await?;
    settings.management = secrets.management(client_id, None);
    settings.software_statement = secrets.statement;
    let command = Command::Add {
        settings,
        initial_access_token: secrets.token,
    };
    let outcome = grpc
        .store
        .execute::<IdentityProvider>(id, &command, &call.context)
        .await;
    match outcome {
        Ok(outcome) => secrets.settle(grpc, &outcome.state, &outcome.state).await,
        Err(error) => {
            secrets.forget_after(grpc, &error).await;
            return Err(refuse(error));
        }
    }
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
    let if_version = message.if_version;
    let loaded = grpc.store.load::<IdentityProvider>(id).await;
    let loaded = loaded.map_err(store_error)?;
    let before = loaded.state.present()?;
    let draft = changes_of(message).checked(Problems::default())?;
    let known = before.management.as_ref();
    let management = draft.management(known.map(|known| known.client_id.as_str()))?;
    if let Some(name) = &draft.name {
        unique(grpc, name, id).await?;
    }
    let location = if draft.moves() {
        check::verified(grpc, &draft, Some(&before.location)).await?
    } else {
        before.location.clone()
    };
    let token = draft.token()?;
    let has_token = match token {
        Some(token) => !token.is_empty(),
        None => loaded.state.initial_access_token.is_some(),
    };
    let token_given = token.is_some();
    let client_id = management.map(|(client_id, _)| client_id);
    let mut settings = Settings {
        name: draft.name.clone().unwrap_or_else(|| before.name.clone()),
        kind: before.kind.clone(),
        location,
        scope_claim: draft
            .scope_claim
            .clone()
            .unwrap_or_else(|| before.scope_claim.clone()),
        management: client_id.clone().map(ManagementRef::unknown),
        authorization: draft.authorization(before.authorization),
        options: draft.options(&before.options),
        software_statement: before.software_statement,
    };
    requirements::check_chosen_method(&settings, has_token)?;
    let secrets = Secrets::keep(grpc, id, &call.context, &draft).await?;
    settings.management = secrets.management(client_id, known);
    if draft.software_statement.is_some() {
        settings.software_statement = secrets.statement;
    }
    let command = Command::Change {
        settings,
        initial_access_token: match token_given {
            true => TokenChange::Replace(secrets.token),
            false => TokenChange::Keep,
        },
        live_clients: clients(grpc, id).await?,
    };
    // Nobody else may have changed it since it was loaded: the command holds all settings.
    let version = match if_version {
        0 => u64::try_from(loaded.version).unwrap_or_default(),
        given => given,
    };
    let outcome = grpc
        .store
        .execute_at::<IdentityProvider>(id, version, &command, &call.context)
        .await;
    match outcome {
        Ok(outcome) => secrets.settle(grpc, &loaded.state, &outcome.state).await,
        Err(error) => {
            secrets.forget_after(grpc, &error).await;
            return Err(refuse_at(if_version, error));
        }
    }
    answer(grpc, id).await
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
    let pool = grpc.store.database().pool();
    let command = Command::Delete {
        client_types: client_types::count_of_provider(pool, id)
            .await
            .map_err(query_error)?,
        live_clients: clients(grpc, id).await?,
    };
    grpc.store
        .execute_at::<IdentityProvider>(id, message.if_version, &command, &call.context)
        .await
        .map_err(refuse)?;
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
    let days_before = message.days_before;
    if !NOTICES.contains(&days_before) {
        return Err(Error::field(
            "days_before",
            "days_before_invalid",
            "`days_before` must be 30, 7 or 1, or 0 for no rotation.",
        ));
    }
    let command = Command::SetRotation { days_before };
    grpc.store
        .execute_at::<IdentityProvider>(id, message.if_version, &command, &call.context)
        .await
        .map_err(refuse)?;
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
    let query = ListQuery::parse(
        &identity_providers::SORT,
        message.limit,
        &message.after,
        &message.sort,
    )?;
    let search = Search::parse(&message.q)?;
    let pool = grpc.store.database().pool();
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
    identity_providers::get(grpc.store.database().pool(), id)
        .await
        .map_err(query_error)?
        .filter(|listed| listed.provider.status != "deleted")
        .map(shown)
        .ok_or_else(|| Error::not_found("identity provider"))
}

/// With what the driver makes of the settings.
fn shown(listed: Listed) -> api::IdentityProvider {
    let Listed {
        mut provider,
        settings,
        has_token,
    } = listed;
    let method = requirements::method(&settings, has_token);
    provider.authorization = method.to_string();
    provider.has_api_token = has_token && method == Method::ApiToken;
    provider.has_initial_access_token = has_token && method != Method::ApiToken;
    provider.warnings = requirements::warnings(&settings, has_token);
    provider
}

async fn unique(grpc: &Grpc, name: &str, id: Uuid) -> Result<(), Error> {
    let pool = grpc.store.database().pool();
    let taken = identity_providers::name_taken(pool, name, id)
        .await
        .map_err(query_error)?;
    if taken { Err(name_taken()) } else { Ok(()) }
}

async fn clients(grpc: &Grpc, id: Uuid) -> Result<u64, Error> {
    usage::of_provider(grpc.store.database().pool(), id)
        .await
        .map_err(query_error)
}

/// The type; an unknown one is noted, and stands for itself.
fn kind_of(problems: &mut Problems, text: &str) -> ProviderType {
    let name = text.trim();
    provider_type(name).unwrap_or_else(|| {
        let names: Vec<&str> = DRIVERS.iter().map(|(name, _)| *name).collect();
        let right = format!("`type` must be one of {}.", names.join(", "));
        problems.add("type", "type_invalid", right);
        ProviderType::new(name)
    })
}

fn draft_of(message: api::CreateIdentityProviderRequest) -> Draft {
    let given = |text: String| (!text.trim().is_empty()).then(|| Secret::new(text));
    Draft {
        name: Some(message.name),
        well_known_url: Some(message.well_known_url),
        skip_tls_verify: Some(message.skip_tls_verify),
        scope_claim: Some(message.scope_claim),
        initial_access_token: given(message.initial_access_token),
        management_client_id: Some(message.management_client_id),
        management_client_secret: given(message.management_client_secret),
        authorization: Some(message.authorization),
        api_token: given(message.api_token),
        management_scope: Some(message.management_scope),
        management_audience: Some(message.management_audience),
        management_auth_method: Some(message.management_auth_method),
        trusted_certificates: Some(message.trusted_certificates),
        allowed_origins: Some(message.allowed_origins),
        registration_endpoint_override: Some(message.registration_endpoint_override),
        api_audience: Some(message.api_audience),
        client_template: Some(message.client_template),
        software_statement: given(message.software_statement),
    }
}

fn changes_of(message: api::UpdateIdentityProviderRequest) -> Draft {
    Draft {
        name: message.name,
        well_known_url: message.well_known_url,
        skip_tls_verify: message.skip_tls_verify,
        scope_claim: message.scope_claim,
        initial_access_token: message.initial_access_token.map(Secret::new),
        management_client_id: message.management_client_id,
        management_client_secret: message.management_client_secret.map(Secret::new),
        authorization: message.authorization,
        api_token: message.api_token.map(Secret::new),
        management_scope: message.management_scope,
        management_audience: message.management_audience,
        management_auth_method: message.management_auth_method,
        trusted_certificates: message.trusted_certificates,
        allowed_origins: message.allowed_origins.map(|origins| origins.values),
        registration_endpoint_override: message.registration_endpoint_override,
        api_audience: message.api_audience,
        client_template: message.client_template,
        software_statement: message.software_statement.map(Secret::new),
    }
}
