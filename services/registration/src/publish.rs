//! Private events as public ones. A private event becomes one public event at most.

mod identity_providers;
mod oauth_clients;

use async_trait::async_trait;
use portico_eventstore::relay::{PublicEvent, Publish};
use portico_eventstore::{EventStore, RecordedEvent, StoreError};
use portico_proto::registration::v1 as public;
use portico_runtime::messages::encode;

use crate::client_type::{self, ClientType};
use crate::identity_provider::{IdentityProvider, ProviderKeys};
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
            return identity_providers::translate(store, event, private).await;
        }
        if let Some(private) = event.decode::<ProviderKeys>()? {
            return Ok(identity_providers::of_keys(event, &private));
        }
        match event.decode::<ClientType>()? {
            Some(private) => of_type(store, event, &private).await,
            None => Ok(None),
        }
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
