//! What an approval would send and change. Nothing is written.

mod keys;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use portico_proto::access::v1::ApprovedItem;
use portico_proto::{Error, Kind, registration::v1 as api};
use portico_runtime::{Call, Problems, parse_id, store_error};
use portico_vault::Secret;
use tonic::Request;
use uuid::Uuid;

use super::Grpc;
use crate::client_type::{self, Definition};
use crate::gateways::Limit;
use crate::identity_provider::{self, Settings};
use crate::mapping::Mapper;
use crate::mapping::grants::{Grant, GrantedApi};
use crate::oauth_client::{Live, OauthClient, Wanted};
use crate::providers::{
    ChosenIds, Driver, Failure, KnownClient, Marker, Method, Preview, WantedClient, driver_for,
};

/// An admin or a service.
pub(crate) async fn preview_registration(
    grpc: &Grpc,
    request: Request<api::PreviewRegistrationRequest>,
) -> Result<api::PreviewRegistrationResponse, Error> {
    let call = Call::of(&request, "preview_registration", &grpc.deps.clock)?;
    call.caller.require_admin_or_service()?;
    let message = request.into_inner();
    if message.client_type_id.is_empty() && !message.items.is_empty() {
        return keys::preview(grpc, message).await;
    }
    let subject = Subject::load(grpc, &message).await?;
    let asked = scopes(&message);
    let preview = subject.preview(&asked).map_err(refused)?;
    let supported = &subject.settings.location.endpoints.scopes_supported;
    let missing = asked
        .iter()
        .filter(|_| subject.driver.announces_scopes() && !supported.is_empty())
        .filter(|scope| !supported.contains(scope));
    let obstacles = obstacles(grpc, &subject).await?;
    Ok(api::PreviewRegistrationResponse {
        obstacles,
        action: preview.action.to_owned(),
        endpoint: preview.endpoint.to_string(),
        method: preview.method.to_owned(),
        payload_json: preview.body.to_string(),
        scopes_missing_at_provider: missing.cloned().collect(),
        mapping_changes: mapping_changes(grpc, message, subject.provider_id).await,
    })
}

/// What stands in the way now, whatever is approved.
async fn obstacles(grpc: &Grpc, subject: &Subject) -> Result<Vec<String>, Error> {
    let provider = identity_provider::load(&grpc.store, subject.provider_id)
        .await
        .map_err(store_error)?
        .state;
    let mut obstacles = Vec::new();
    if let identity_provider::Status::Paused { reason } = &provider.status {
        obstacles.push(format!("The identity provider is paused: {reason}"));
    }
    if subject.client.application.suspended {
        obstacles.push("The application is suspended; it is sent when it is resumed.".to_owned());
    }
    if subject.client.is_parked()
        && let Some(words) = subject.client.last_error()
    {
        obstacles.push(format!(
            "The application's client is parked until something changes or it is tried again: {}",
            words.reason
        ));
    }
    Ok(obstacles)
}

/// The client as it is, and what it is to be.
struct Subject {
    provider_id: Uuid,
    settings: Settings,
    method: Method,
    driver: &'static dyn Driver,
    client: OauthClient,
    /// What grants and application want, and this approval too; its scopes are still missing.
    wanted: Wanted,
    /// The client types that it would have, the one that decides the authentication first.
    kinds: Vec<Definition>,
    id: Uuid,
}

impl Subject {
    async fn load(grpc: &Grpc, message: &api::PreviewRegistrationRequest) -> Result<Self, Error> {
        let (application, client_type) = ids(message)?;
        let kind = client_type::load(&grpc.store, client_type)
            .await
            .map_err(store_error)?
            .state;
        kind.present()?;
        let provider_id = kind.identity_provider_id;
        let provider = identity_provider::load(&grpc.store, provider_id)
            .await
            .map_err(store_error)?
            .state;
        let settings = provider.present()?;
        let id = OauthClient::id(application, provider_id);
        let client = grpc
            .store
            .load::<OauthClient>(id)
            .await
            .map_err(store_error)?
            .state;
        let first = match client.live() {
            Some(live) => live.client_type_id,
            None => client.first_client_type().unwrap_or(client_type),
        };
        let mut wanted = client.wanted().unwrap_or_default();
        wanted.name.clone_from(&message.application_name);
        wanted.redirect_urls.clone_from(&message.redirect_urls);
        wanted.client_type_ids.insert(client_type);
        let others = wanted.client_type_ids.iter().filter(|id| **id != first);
        let mut kinds = Vec::new();
        for id in std::iter::once(&first).chain(others) {
            let loaded = client_type::load(&grpc.store, *id).await;
            kinds.extend(loaded.map_err(store_error)?.state.definition);
        }
        Ok(Self {
            provider_id,
            method: settings.method(provider.initial_access_token.is_some()),
            driver: driver_for(settings.kind),
            settings: settings.clone(),
            client,
            wanted,
            kinds,
            id,
        })
    }

    fn preview(&self, asked: &BTreeSet<String>) -> Result<Preview, Failure> {
        let union = |of: fn(&Definition) -> &BTreeSet<String>| {
            self.kinds.iter().flat_map(of).cloned().collect()
        };
        let first = self.kinds.first();
        let wanted = WantedClient {
            name: self.wanted.name.clone(),
            redirect_uris: self.wanted.redirect_urls.clone(),
            grant_types: union(|kind| &kind.grant_types),
            response_types: union(|kind| &kind.response_types),
            token_endpoint_auth_method: first
                .map(|kind| kind.token_endpoint_auth_method.clone())
                .unwrap_or_default(),
            scopes: self.wanted.scopes.union(asked).cloned().collect(),
            okta_application_type: first
                .map(|kind| kind.okta_application_type.clone())
                .unwrap_or_default(),
            marker: Marker {
                id: self.id.to_string(),
                attempt: self.client.attempt + 1,
            },
        };
        let site = self.settings.site(self.method);
        if let Some(live) = self.client.live() {
            return self.driver.preview_update(site, &known(live), &wanted);
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
fn known(live: &Live) -> KnownClient {
    let stand_in = |there: bool| there.then(|| Secret::new("redacted"));
    KnownClient {
        client_id: live.answer.client_id.clone(),
        client_secret: stand_in(live.answer.secret_ref.is_some()),
        registration_access_token: stand_in(live.answer.rat_ref.is_some()),
        registration_client_uri: live.answer.registration_client_uri.clone(),
        granted: live.answer.granted.clone(),
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
    let application = match message.application_id.as_str() {
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

fn scopes(message: &api::PreviewRegistrationRequest) -> BTreeSet<String> {
    let items = message.items.iter();
    let of_items = items.flat_map(|item| item.product_scopes.iter().chain(&item.plan_scopes));
    of_items.chain(&message.scopes).cloned().collect()
}

/// A gateway that does not answer does not spoil the rest of the preview.
async fn mapping_changes(
    grpc: &Grpc,
    message: api::PreviewRegistrationRequest,
    provider: Uuid,
) -> Vec<String> {
    let unknown = |api: &String| {
        format!("API {api}: what is mapped depends on the product and plan, which were not given")
    };
    let mut lines: Vec<String> = message.api_ids.iter().map(unknown).collect();
    let grants: Vec<Grant> = message
        .items
        .into_iter()
        .map(|item| grant(item, provider))
        .collect();
    match Mapper::new(&grpc.deps, &grpc.store, &grpc.vault)
        .preview(&grants)
        .await
    {
        Ok(changes) => lines.extend(changes),
        Err(failure) => lines.push(format!("Not known: {}", failure.reason)),
    }
    lines
}

fn grant(item: ApprovedItem, provider: Uuid) -> Grant {
    let limit = |requests, seconds| Limit { requests, seconds };
    let apis = item.apis.into_iter().map(|api| GrantedApi {
        api_id: api.api_id,
        name: api.name,
        gateway_id: api.gateway_id,
    });
    // Later than every request there is.
    let request = Uuid::max().to_string();
    Grant {
        first_request: request.clone(),
        last_request: request,
        count: 1,
        identity_provider_id: provider.to_string(),
        product_id: item.product_id,
        product_name: item.product_name,
        product_scopes: item.product_scopes,
        product_policy_id: item.product_policy_id,
        plan_id: item.plan_id,
        plan_name: item.plan_name,
        plan_scopes: item.plan_scopes,
        plan_policy_id: item.plan_policy_id,
        rate: item.rate.map(|rate| limit(rate.requests, rate.per_seconds)),
        quota: item
            .quota
            .map(|quota| limit(quota.requests, quota.renews_every_seconds)),
        apis: apis.collect(),
    }
}
