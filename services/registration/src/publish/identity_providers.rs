//! Events of identity providers as public ones.

#![deny(clippy::wildcard_enum_match_arm)]

use portico_eventstore::relay::PublicEvent;
use portico_eventstore::{EventStore, RecordedEvent, StoreError};
use portico_proto::registration::v1 as public;
use portico_runtime::messages::encode;

use crate::identity_provider::{Event, IdentityProvider, KeysEvent};

pub(super) async fn translate(
    store: &EventStore,
    at: &RecordedEvent,
    event: Event,
) -> Result<Option<PublicEvent>, StoreError> {
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

pub(super) fn of_keys(at: &RecordedEvent, event: &KeysEvent) -> Option<PublicEvent> {
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
