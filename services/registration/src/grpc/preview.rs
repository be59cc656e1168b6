//! What an approval would send to the identity provider. Nothing is written.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use portico_proto::{Error, Kind, registration::v1 as api};
use portico_runtime::{Call, Problems, parse_id, query_error};
use portico_vault::Secret;
use tonic::Request;
use uuid::Uuid;

use super::Grpc;
use super::refusal::work_error;
use crate::client_metadata::{Marker, Metadata, Profile, WantedClient};
use crate::client_type::{ClientType, Definition};
use crate::identity_provider::{IdentityProvider, Method, Settings, Status};
use crate::oauth_client::{Live, OauthClient, Wanted};
use crate::providers::{
    ChosenIds, Driver, Failure, KnownClient, Preview, Site, driver_for, requirements,
};
use crate::wire;

/// An admin or a service.
pub(crate) async fn preview_registration(
    grpc: &Grpc,
    request: Request<api::PreviewRegistrationRequest>,
) -> Result<api::PreviewRegistrationResponse, Error> {
    let call = Call::of(&request, "preview_registration", &grpc.deps.clock)?;
    call.caller.require_admin_or_service()?;
    let message = request.into_inner();
    let subject = Subject::load(grpc, &message).await?;
    let asked: BTreeSet<String> = message.scopes.iter().cloned().collect();
    let preview = subject.preview(&asked).map_err(refused)?;
    let supported = &subject.settings.location.endpoints.scopes_supported;
    let missing = asked
        .iter()
        .filter(|_| subject.driver.announces_scopes() && !supported.is_empty())
        .filter(|scope| !supported.contains(scope));
    let obstacles = obstacles(&subject);
    Ok(api::PreviewRegistrationResponse {
        obstacles,
        action: wire::word::<api::RegistrationAction>(preview.action),
        endpoint: preview.endpoint.to_string(),
        method: preview.method.to_owned(),
        payload: preview.body.to_string(),
        scopes_missing_at_provider: missing.cloned().collect(),
    })
}

/// What stands in the way now, whatever is approved.
fn obstacles(subject: &Subject) -> Vec<String> {
    let mut obstacles = Vec::new();
    if let Status::Paused { reason } = &subject.provider.status {
        obstacles.push(format!("The identity provider is paused: {reason}"));
    }
    if subject.client.application.suspended {
        obstacles.push("The application is suspended; it is sent when it is resumed.".to_owned());
    }
    if subject.client.is_parked()
        && let Some(problem) = subject.client.last_error()
    {
        obstacles.push(format!(
            "The application's client is parked until something changes or it is tried again: {}",
            problem.reason
        ));
    }
    obstacles
}

/// The client as it is, and what it is to be.
struct Subject {
    provider: IdentityProvider,
    settings: Settings,
    method: Method,
    driver: &'static dyn Driver,
    client: OauthClient,
    /// What grants and application want, and this approval too; its scopes are still missing.
    wanted: Wanted,
    /// What the admin is shown the approval of.
    texts: Profile,
    /// What the provider has granted of a client that is there.
    granted: Metadata,
    /// The client types that it would have, the one that decides the authentication first.
    types: Vec<Definition>,
    id: Uuid,
    /// A new client gets its scopes by an update only.
    bare: bool,
}

impl Subject {
    async fn load(grpc: &Grpc, message: &api::PreviewRegistrationRequest) -> Result<Self, Error> {
        let (application, client_type) = ids(message)?;
        let chosen = grpc.load::<ClientType>(client_type).await?;
        chosen.present()?;
        let provider_id = chosen.identity_provider_id;
        let provider = grpc.load::<IdentityProvider>(provider_id).await?;
        let settings = provider.present()?.clone();
        let id = OauthClient::id(application, provider_id);
        let client = grpc.load::<OauthClient>(id).await?;
        let first = match client.live() {
            Some(live) => live.client_type_id,
            None => client.first_client_type().unwrap_or(client_type),
        };
        let mut wanted = client.wanted().unwrap_or_default();
        wanted.client_type_ids.insert(client_type);
        let others = wanted.client_type_ids.iter().filter(|id| **id != first);
        let mut types = Vec::new();
        for id in std::iter::once(&first).chain(others) {
            types.extend(grpc.load::<ClientType>(*id).await?.definition);
        }
        let method = requirements::method(&settings, provider.initial_access_token.is_some());
        let (driver, site) = (driver_for(&settings.kind), Site::new(&settings, method));
        let granted = match client.live() {
            Some(live) => {
                let whole = grpc.worker.whole(application, &live.answer).await;
                whole.map_err(|error| work_error(id, &error))?.0.granted
            }
            None => Metadata::default(),
        };
        let bare = grpc.worker.registers_bare(driver, site, provider_id).await;
        Ok(Self {
            bare: bare.map_err(query_error)?,
            granted,
            texts: Profile {
                name: message.application_name.clone(),
                redirect_urls: message.redirect_urls.clone(),
                erased: false,
            },
            method,
            driver,
            provider,
            settings,
            client,
            wanted,
            types,
            id,
        })
    }

    fn preview(&self, asked: &BTreeSet<String>) -> Result<Preview, Failure> {
        let union = |of: fn(&Definition) -> &BTreeSet<String>| {
            self.types.iter().flat_map(of).cloned().collect()
        };
        let first = self.types.first();
        let wanted = WantedClient {
            name: self.texts.name.clone(),
            redirect_uris: self.texts.redirect_urls.clone(),
            grant_types: union(|one| &one.grant_types),
            response_types: union(|one| &one.response_types),
            token_endpoint_auth_method: first
                .map(|one| one.token_endpoint_auth_method.clone())
                .unwrap_or_default(),
            scopes: match self.bare && self.client.live().is_none() {
                true => BTreeSet::new(),
                false => self.wanted.scopes.union(asked).cloned().collect(),
            },
            okta_application_type: first
                .map(|one| one.okta_application_type.clone())
                .unwrap_or_default(),
            marker: Marker {
                id: self.id.to_string(),
                attempt: self.client.attempt + 1,
            },
            erased: false,
        };
        let site = Site::new(&self.settings, self.method);
        if let Some(live) = self.client.live() {
            return self
                .driver
                .preview_update(site, &known(live, &self.granted), &wanted);
        }
        let ids = ChosenIds {
            // Chosen anew for each attempt.
            client_id: "(chosen when it is sent)".to_owned(),
            client_secret: Secret::new("(chosen when it is sent)"),
        };
        Ok(self.driver.prepare(site, &wanted, &ids)?.preview())
    }
}

/// Of a preview only the shape counts, so secrets stay in the vault; others stand for them.
fn known(live: &Live, granted: &Metadata) -> KnownClient {
    let stand_in = |there: bool| there.then(|| Secret::new("redacted"));
    KnownClient {
        client_id: live.answer.client_id.clone(),
        client_secret: stand_in(live.answer.secret_ref.is_some()),
        registration_access_token: stand_in(live.answer.rat_ref.is_some()),
        registration_client_uri: live.answer.registration_client_uri.clone(),
        granted: granted.clone(),
        scopes: live.own_scopes(),
    }
}

fn ids(message: &api::PreviewRegistrationRequest) -> Result<(Uuid, Uuid), Error> {
    let mut problems = Problems::default();
    let mut id = |field: &str, text: &str| {
        parse_id(field, text).unwrap_or_else(|error| {
            problems.add(field, &error.code, error.message);
            Uuid::nil()
        })
    };
    let application = match message.application_id() {
        // It is not there yet.
        "" => Uuid::nil(),
        text => id("application_id", text),
    };
    let client_type = id("client_type_id", &message.client_type_id);
    problems.into_result()?;
    Ok((application, client_type))
}

/// What the provider is known to refuse.
fn refused(failure: Failure) -> Error {
    Error::new(Kind::Conflict, failure.code, failure.description)
}
