//! OAuth clients and their credentials.

mod rotation;
#[cfg(test)]
pub(crate) mod tests;

use portico_proto::access::v1::access_service_client::AccessServiceClient;
use portico_proto::access::v1::{Application, GetActivationRequest, GetApplicationRequest};
use portico_proto::registration::v1::{self as api, ClientState};
use portico_proto::{Error, Kind};
use portico_runtime::{Call, Caller, ServiceName, parse_id, query_error, vault_error};
use portico_vault::{Owner, Secret, VaultRef};
use tonic::Request;
use uuid::Uuid;

use super::Grpc;
use super::refusal::{refuse, work_error};
use crate::client_metadata::Metadata;
use crate::client_type::ClientType;
use crate::identity_provider::IdentityProvider;
use crate::oauth_client::{AccessCommand, Answered, Command, Live, OWNER, OauthClient, Rejection};
use crate::views::oauth_clients::{self as view, Listed};
use crate::wire;
use crate::worker::DriftResult;
pub(super) use rotation::{end_old_secret, rotate_credentials};

/// Code of [`Rejection::NotReady`].
const NOT_READY: &str = "not_ready";

/// Who may see the application: its owner, or an admin.
pub(crate) async fn list_oauth_clients(
    grpc: &Grpc,
    request: Request<api::ListOauthClientsRequest>,
) -> Result<api::ListOauthClientsResponse, Error> {
    let caller = Caller::of(&request);
    caller.require_known()?;
    let id = parse_id("application_id", &request.get_ref().application_id)?;
    application(grpc, &caller, id).await?;
    let clients = clients(grpc, id).await?;
    Ok(api::ListOauthClientsResponse {
        oauth_clients: clients.into_iter().map(|listed| listed.client).collect(),
    })
}

/// The application's owner and nobody else, not even an admin. Every look is recorded.
pub(crate) async fn get_credentials(
    grpc: &Grpc,
    request: Request<api::GetCredentialsRequest>,
) -> Result<api::GetCredentialsResponse, Error> {
    let call = Call::of(&request, "get_credentials", &grpc.deps.clock)?;
    let id = parse_id("application_id", &request.get_ref().application_id)?;
    owned(grpc, &call.caller, id).await?;
    let (mut credentials, mut unready) = (Vec::new(), None);
    for listed in clients(grpc, id).await? {
        if listed.state.live().is_none() {
            continue;
        }
        match reveal(grpc, &call, &listed).await {
            Ok(one) => credentials.extend(one),
            Err(error) if error.code == NOT_READY => unready = Some(error),
            Err(error) => return Err(error),
        }
    }
    // Those that work are shown, whatever is to come at other providers.
    match unready {
        Some(error) if credentials.is_empty() => Err(error),
        _ => Ok(api::GetCredentialsResponse { credentials }),
    }
}

/// Who may see the application: its owner, or an admin. Changes nothing at the provider.
pub(crate) async fn read_oauth_client(
    grpc: &Grpc,
    request: Request<api::ReadOauthClientRequest>,
) -> Result<api::ClientAtProvider, Error> {
    let caller = Caller::of(&request);
    caller.require_known()?;
    let id = parse_id("id", &request.get_ref().id)?;
    let listed = visible(grpc, &caller, id).await?;
    let read = grpc.worker.read_at_provider(id).await;
    let (result, found) = read.map_err(|error| work_error(id, &error))?;
    let (state, reason) = match &result {
        DriftResult::Unchanged => (ClientState::AsMade, None),
        DriftResult::Missing { .. } => (ClientState::Missing, None),
        DriftResult::Changed { .. } => (ClientState::Changed, None),
        DriftResult::Busy => (ClientState::BeingChanged, None),
        DriftResult::NotReadable { reason, .. } => (ClientState::NotReadable, Some(reason.clone())),
    };
    let found = found.as_ref().map(json).transpose()?.unwrap_or_default();
    let registered = view::Registered {
        id,
        application_id: listed.client.application_id.clone(),
        provider_id: listed.client.identity_provider_id.clone(),
        provider_name: listed.client.identity_provider_name.clone(),
    };
    let items = match result {
        DriftResult::Changed { .. } | DriftResult::Missing { .. } => {
            super::drift::items(&registered, result, false)
        }
        _ => Vec::new(),
    };
    Ok(api::ClientAtProvider {
        client: Some(listed.client),
        state: state.into(),
        found,
        items,
        reason,
    })
}

/// An admin.
pub(crate) async fn reissue_registration_token(
    grpc: &Grpc,
    request: Request<api::ReissueRegistrationTokenRequest>,
) -> Result<api::OauthClient, Error> {
    let caller = Caller::of(&request);
    caller.require_admin()?;
    let id = parse_id("id", &request.get_ref().id)?;
    visible(grpc, &caller, id).await?;
    let reissued = grpc.worker.reissue(id).await;
    let reissued = reissued.map_err(|error| work_error(id, &error))?;
    if let Err(failure) = reissued {
        let code = match failure.code.as_str() {
            "reissue_unsupported" | "client_busy" => failure.code,
            _ => "reissue_failed".to_owned(),
        };
        return Err(Error::new(Kind::Conflict, code, failure.description));
    }
    Ok(visible(grpc, &caller, id).await?.client)
}

/// A client of an application that the caller may see.
async fn visible(grpc: &Grpc, caller: &Caller, id: Uuid) -> Result<Listed, Error> {
    let mut listed = view::by_id(grpc.pool(), id)
        .await
        .map_err(query_error)?
        .ok_or_else(|| Error::not_found("OAuth client"))?;
    complete(grpc, &mut listed).await?;
    let application_id = parse_id("application_id", &listed.client.application_id)?;
    match application(grpc, caller, application_id).await {
        Ok(_) => Ok(listed),
        Err(error) if error.kind == Kind::NotFound => Err(Error::not_found("OAuth client")),
        Err(error) => Err(error),
    }
}

/// The application as the caller may see it; otherwise it is not there.
pub(super) async fn application(
    grpc: &Grpc,
    caller: &Caller,
    id: Uuid,
) -> Result<Application, Error> {
    let mut access = AccessServiceClient::new(grpc.deps.channels.to(ServiceName::AccessRequest));
    let message = GetApplicationRequest { id: id.to_string() };
    let request = grpc.deps.identity.request(caller, message);
    Ok(access.get_application(request).await?.into_inner())
}

/// The application, where the caller owns it.
pub(super) async fn owned(grpc: &Grpc, caller: &Caller, id: Uuid) -> Result<(), Error> {
    let (user, _) = caller.require_user()?;
    if application(grpc, caller, id).await?.owner_id == user.to_string() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Forbidden,
        "credentials_not_yours",
        "Only the owner of an application sees its credentials.",
    ))
}

/// Clients that are there or were. A revocation that came before its approval has made none.
async fn clients(grpc: &Grpc, application: Uuid) -> Result<Vec<Listed>, Error> {
    let pool = grpc.pool();
    let mut clients = view::of_application(pool, application)
        .await
        .map_err(query_error)?;
    clients.retain(|listed| listed.state.was_live || !listed.state.grants.is_empty());
    for listed in &mut clients {
        complete(grpc, listed).await?;
    }
    Ok(clients)
}

/// Adds what the provider repeated of what people wrote.
async fn complete(grpc: &Grpc, listed: &mut Listed) -> Result<(), Error> {
    let Some(live) = listed.state.live() else {
        return Ok(());
    };
    let id = parse_id("id", &listed.client.id)?;
    let whole = grpc.worker.whole(listed.state.application_id, &live.answer);
    let (answer, redirect_urls) = whole.await.map_err(|error| work_error(id, &error))?;
    listed.client.differences = view::differences(answer.differences);
    listed.client.redirect_urls = redirect_urls;
    Ok(())
}

/// Records that somebody looks, then gives the credentials. `None` where the client was deleted meanwhile.
async fn reveal(
    grpc: &Grpc,
    call: &Call,
    listed: &Listed,
) -> Result<Option<api::Credentials>, Error> {
    let id = parse_id("id", &listed.client.id)?;
    ensure_activated(grpc, call, id, &listed.state).await?;
    let context = call.context.step(&format!("reveal {id}"));
    let outcome = grpc
        .store
        .execute::<OauthClient>(id, &Command::Access(AccessCommand::Reveal), &context)
        .await;
    let state = match outcome {
        Ok(outcome) => outcome.state,
        Err(portico_eventstore::ExecuteError::Rejected(Rejection::NotRegistered)) => {
            return Ok(None);
        }
        Err(error) => return Err(refuse(error)),
    };
    credentials(grpc, id, state, listed).await
}

/// Credentials are not shown before access by the client has been active. The news of that may still be on its way, so
/// access-request is asked: a developer who sees an active request gets its credentials.
async fn ensure_activated(
    grpc: &Grpc,
    call: &Call,
    id: Uuid,
    client: &OauthClient,
) -> Result<(), Error> {
    if client.activated {
        return Ok(());
    }
    let mut access = AccessServiceClient::new(grpc.deps.channels.to(ServiceName::AccessRequest));
    let message = GetActivationRequest {
        application_id: client.application_id.to_string(),
        identity_provider_id: client.identity_provider_id.to_string(),
    };
    let service = Caller::service(ServiceName::Registration.as_str());
    let request = grpc.deps.identity.request(&service, message);
    if !access.get_activation(request).await?.into_inner().activated {
        return Err(Rejection::NotReady.into());
    }
    let context = call.context.step(&format!("activation of {id}"));
    let command = Command::Access(AccessCommand::ConfirmActivation);
    let confirmed = grpc.store.execute::<OauthClient>(id, &command, &context);
    confirmed.await.map(drop).map_err(refuse)
}

/// Of the client in this state; `None` where it is not registered (any more).
async fn credentials(
    grpc: &Grpc,
    id: Uuid,
    mut state: OauthClient,
    listed: &Listed,
) -> Result<Option<api::Credentials>, Error> {
    // A rotation that ends at this moment takes the secret away that was the client's in this state.
    loop {
        let Some(live) = state.live() else {
            return Ok(None);
        };
        let reference = live.answer.secret_ref;
        if let Some(secret) = secret(grpc, id, reference).await? {
            let whole = grpc.worker.whole(state.application_id, &live.answer);
            let (answer, _) = whole.await.map_err(|error| work_error(id, &error))?;
            return with_secret(grpc, &state, (live, &answer), listed, secret)
                .await
                .map(Some);
        }
        state = grpc.load::<OauthClient>(id).await?;
        if state.live().map(|live| live.answer.secret_ref) == Some(reference) {
            tracing::error!(oauth_client_id = %id, "a client's secret is not in the vault");
            return Err(Error::internal());
        }
    }
}

async fn with_secret(
    grpc: &Grpc,
    state: &OauthClient,
    (live, answer): (&Live, &Answered),
    listed: &Listed,
    client_secret: Option<Secret>,
) -> Result<api::Credentials, Error> {
    let method = match answer.granted.text("token_endpoint_auth_method") {
        Some(method) => method.to_owned(),
        None => asked_method(grpc, live).await?,
    };
    Ok(api::Credentials {
        identity_provider_id: state.identity_provider_id.to_string(),
        identity_provider_name: listed.client.identity_provider_name.clone(),
        client_id: answer.client_id.clone(),
        client_secret: client_secret.map(|secret| secret.expose().to_owned()),
        client_secret_expires_at: wire::expiry(answer.secret_expires_at),
        token_endpoint: listed.client.token_endpoint.clone(),
        token_endpoint_auth_method: method,
        scopes: state.scopes().into_iter().collect(),
        granted: json(&answer.granted)?,
        differences: view::differences(answer.differences.clone()),
        issuer: listed.issuer.clone(),
        status: wire::word::<api::OauthClientStatus>(state.status()),
        audience: audience(grpc, state.identity_provider_id).await?,
        old_secret_valid_until: view::old_secret_valid_until(state),
    })
}

/// Of the API that a token is for, at a provider that gives tokens for one only.
async fn audience(grpc: &Grpc, provider: Uuid) -> Result<Option<String>, Error> {
    let settings = grpc.load::<IdentityProvider>(provider).await?.settings;
    Ok(settings.and_then(|settings| wire::given(settings.options.api_audience)))
}

/// Metadata as a text of JSON.
fn json(metadata: &Metadata) -> Result<String, Error> {
    serde_json::to_string(metadata).map_err(|error| {
        tracing::error!(%error, "metadata cannot be written");
        Error::internal()
    })
}

async fn asked_method(grpc: &Grpc, live: &Live) -> Result<String, Error> {
    let client_type = grpc.load::<ClientType>(live.client_type_id).await?;
    let definition = client_type.definition;
    Ok(definition.map_or_else(String::new, |d| d.token_endpoint_auth_method))
}

/// `Some(None)` for a client that has none; `None` where it is not in the vault (any more).
async fn secret(
    grpc: &Grpc,
    id: Uuid,
    reference: Option<VaultRef>,
) -> Result<Option<Option<Secret>>, Error> {
    let Some(reference) = reference else {
        return Ok(Some(None));
    };
    let kept = grpc
        .vault
        .get(&Owner::new(OWNER, id), &reference)
        .await
        .map_err(vault_error)?;
    Ok(kept.map(Some))
}
