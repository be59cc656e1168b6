//! Private events as public ones. A private event becomes one public event at most.

mod oauth_clients;

use async_trait::async_trait;
use portico_eventstore::relay::{PublicEvent, Publish};
use portico_eventstore::{EventStore, RecordedEvent, StoreError};
use portico_proto::registration::v1 as public;
use portico_runtime::messages::encode;

use crate::client_type::{self, ClientType};
use crate::identity_provider::{self, IdentityProvider, KeysEvent, ProviderKeys};
use crate::oauth_client::OauthClient;

pub(crate) struct Publisher;

#[async_trait]
impl Publish for Publisher {
    async fn publish(
        &self,
        store: &EventStore,
        event: &RecordedEvent,
    ) -> Result<Option<PublicEvent>, StoreError> {
        if let Some(private) = event.decode::<OauthClient>()? {
            return oauth_clients::translate(store, event, private).await;
        }
        if let Some(private) = event.decode::<IdentityProvider>()? {
            return of_provider(store, event, private).await;
        }
        if let Some(private) = event.decode::<ProviderKeys>()? {
            return Ok(of_keys(event, &private));
        }
        match event.decode::<ClientType>()? {
            Some(private) => of_type(store, event, &private).await,
            None => Ok(None),
        }
    }
}

#[deny(clippy::wildcard_enum_match_arm)]
async fn of_provider(
    store: &EventStore,
    at: &RecordedEvent,
    event: identity_provider::Event,
) -> Result<Option<PublicEvent>, StoreError> {
    use identity_provider::Event;
    let id = at.stream_id();
    Ok(match event {
        Event::Added { settings, .. } | Event::Changed { settings } => {
            let endpoints = settings.location.endpoints;
            Some(encode(
                "portico.registration.identity_provider_changed",
                &public::IdentityProviderChanged {
                    identity_provider_id: id.to_string(),
                    version: u64::try_from(at.version).unwrap_or_default(),
                    name: settings.name,
                    issuer: endpoints.issuer,
                    jwks_uri: endpoints.jwks_uri.map(Into::into),
                    scope_claim: settings.scope_claim,
                },
            ))
        }
        Event::Paused { reason } => {
            let provider = store.load_at::<IdentityProvider>(id, at.version).await?;
            Some(encode(
                "portico.registration.provider_paused",
                &public::ProviderPaused {
                    identity_provider_id: id.to_string(),
                    identity_provider_name: provider.name(),
                    reason,
                },
            ))
        }
        Event::Resumed => Some(encode(
            "portico.registration.provider_resumed",
            &public::ProviderResumed {
                identity_provider_id: id.to_string(),
            },
        )),
        Event::Deleted => Some(encode(
            "portico.registration.identity_provider_deleted",
            &public::IdentityProviderDeleted {
                identity_provider_id: id.to_string(),
            },
        )),
        Event::TokenReplaced { .. } | Event::RotationSet { .. } => None,
    })
}

#[deny(clippy::wildcard_enum_match_arm)]
fn of_keys(at: &RecordedEvent, event: &KeysEvent) -> Option<PublicEvent> {
    match event {
        KeysEvent::Changed(_) => Some(encode(
            "portico.registration.identity_provider_keys_changed",
            &public::IdentityProviderKeysChanged {
                identity_provider_id: at.stream_id().to_string(),
            },
        )),
        KeysEvent::Noted(_) => None,
    }
}

#[deny(clippy::wildcard_enum_match_arm)]
async fn of_type(
    store: &EventStore,
    at: &RecordedEvent,
    event: &client_type::Event,
) -> Result<Option<PublicEvent>, StoreError> {
    use client_type::Event;
    Ok(match event {
        Event::Changed { .. } => {
            let id = at.stream_id();
            let client_type = store.load_at::<ClientType>(id, at.version).await?;
            Some(encode(
                "portico.registration.client_type_changed",
                &public::ClientTypeChanged {
                    client_type_id: id.to_string(),
                    identity_provider_id: client_type.identity_provider_id.to_string(),
                },
            ))
        }
        Event::Added { .. } | Event::Deleted => None,
    })
}
