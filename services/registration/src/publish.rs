//! Private events as public ones. A private event becomes one public event at most.

mod keys;

use async_trait::async_trait;
use jiff::Timestamp;
use portico_eventstore::relay::{PublicEvent, Publish};
use portico_eventstore::{EventStore, RecordedEvent, StoreError};
use portico_proto::registration::v1 as public;
use prost::Message;
use uuid::Uuid;

use crate::client_type::{self, ClientType};
use crate::identity_provider::{self, IdentityProvider};
use crate::key_order::KeyOrder;
use crate::oauth_client::{Answered, Delayed, Event, Failed, OauthClient, Provisioned};

/// The translation.
pub(crate) struct Publisher;

#[async_trait]
impl Publish for Publisher {
    async fn publish(
        &self,
        store: &EventStore,
        event: &RecordedEvent,
    ) -> Result<Option<PublicEvent>, StoreError> {
        if let Some(private) = event.decode::<OauthClient>()? {
            return of_client(store, event, private).await;
        }
        if let Some(private) = event.decode::<KeyOrder>()? {
            return keys::of_keys(store, event, private).await;
        }
        if let Some(private) = event.decode::<IdentityProvider>()? {
            return of_provider(store, event, private).await;
        }
        match event.decode::<ClientType>()? {
            Some(private) => of_type(store, event, &private).await,
            None => Ok(None),
        }
    }
}

#[expect(clippy::too_many_lines, reason = "a line for each event")]
async fn of_client(
    store: &EventStore,
    at: &RecordedEvent,
    event: Event,
) -> Result<Option<PublicEvent>, StoreError> {
    let client = async || {
        store
            .load_at::<OauthClient>(at.stream_id(), at.version)
            .await
    };
    if let Some((change, detail)) = change(&event) {
        return changed(store, at, &client().await?, change, &detail).await;
    }
    if let Event::SecretExpiring { silent: false, .. } = event {
        return expiring(store, &client().await?, &event).await;
    }
    Ok(match event {
        Event::Started {
            request_id,
            application_id,
            identity_provider_id,
        } => started(request_id, application_id, identity_provider_id),
        Event::Registered {
            answer,
            request_ids,
            ..
        }
        | Event::Updated {
            answer,
            request_ids,
            ..
        } if !request_ids.is_empty() => registered(&client().await?, &answer, &request_ids),
        Event::GatewayMapped { request_ids, .. } if !request_ids.is_empty() => {
            mapped(&client().await?, &request_ids)
        }
        Event::Provisioned(provisioned) => access_provisioned(provisioned),
        Event::Deprovisioned {
            request_id,
            application_id,
            client_deleted,
        } => deprovisioned(request_id, application_id, client_deleted),
        Event::Delayed(delayed) => match delayed.request_id {
            Some(request) => provisioning_delayed(&client().await?, request, delayed),
            None => None,
        },
        Event::Held {
            request_id: Some(request),
            reason,
            ..
        } => provisioning_held(&client().await?, request, &reason),
        Event::Failed(failed) => {
            let id = failed.identity_provider_id;
            provisioning_failed(failed, &identity_provider::load(store, id).await?.state)
        }
        // Said above, where anybody is concerned.
        Event::SuspensionApplied { .. }
        | Event::ReplacementIntended
        | Event::SecretRotated { .. }
        | Event::Adopted { .. }
        | Event::FoundMissing { .. }
        | Event::FoundChanged { .. }
        | Event::SecretExpiring { .. }
        | Event::Granted(_)
        | Event::GrantWithdrawn { .. }
        | Event::Retried { .. }
        | Event::ApplicationChanged(_)
        | Event::CatalogueChanged(_)
        | Event::RegistrationIntended(_)
        | Event::Registered { .. }
        | Event::OrphanSuspected { .. }
        | Event::UpdateIntended { .. }
        | Event::Updated { .. }
        | Event::TokenReplaced { .. }
        | Event::DeleteIntended { .. }
        | Event::Deleted { .. }
        | Event::RotationIntended { .. }
        | Event::RotationRefused { .. }
        | Event::GatewayMapped { .. }
        | Event::MappingRefused { .. }
        | Event::Refused(_)
        | Event::Held {
            request_id: None, ..
        }
        | Event::GrantSuspended { .. }
        | Event::ClientTypeChanged { .. }
        | Event::OldSecretEndAsked { .. }
        | Event::OldSecretRetired
        | Event::OldSecretNotEnded { .. }
        | Event::DeleteRefused { .. }
        | Event::OrphanFound { .. }
        | Event::OrphanClaimed { .. }
        | Event::OrphanResolved { .. }
        | Event::Resumed
        | Event::CredentialsRevealed => None,
    })
}

async fn of_provider(
    store: &EventStore,
    at: &RecordedEvent,
    event: identity_provider::Event,
) -> Result<Option<PublicEvent>, StoreError> {
    use identity_provider::Event;
    let id = at.stream_id();
    Ok(match event {
        Event::Paused { reason } => {
            let provider = store.load_at::<IdentityProvider>(id, at.version).await?;
            some(
                "portico.registration.provider_paused",
                &public::ProviderPaused {
                    identity_provider_id: id.to_string(),
                    identity_provider_name: name(&provider),
                    reason,
                },
            )
        }
        Event::Resumed => some(
            "portico.registration.provider_resumed",
            &public::ProviderResumed {
                identity_provider_id: id.to_string(),
            },
        ),
        Event::Added { .. }
        | Event::Changed { .. }
        | Event::TokenReplaced { .. }
        | Event::RotationSet { .. }
        | Event::Deleted => None,
    })
}

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
            some(
                "portico.registration.client_type_changed",
                &public::ClientTypeChanged {
                    client_type_id: id.to_string(),
                    identity_provider_id: client_type.identity_provider_id.to_string(),
                },
            )
        }
        Event::Added { .. } | Event::Deleted => None,
    })
}

/// What happened to a client beside its requests.
fn change(event: &Event) -> Option<(&'static str, String)> {
    Some(match event {
        Event::SuspensionApplied { suspended: true } => ("client_suspended", String::new()),
        Event::SuspensionApplied { suspended: false } => ("client_resumed", String::new()),
        Event::ReplacementIntended => ("client_replaced", String::new()),
        Event::SecretRotated { .. } => ("secret_rotated", String::new()),
        Event::Adopted { .. } => ("client_adopted", String::new()),
        Event::FoundMissing { client_id } => ("client_missing", client_id.clone()),
        Event::FoundChanged { members } => ("client_edited", members.join(" ")),
        _ => return None,
    })
}

/// What happened to a client, for everybody whom it serves.
async fn changed(
    store: &EventStore,
    at: &RecordedEvent,
    client: &OauthClient,
    change: &str,
    detail: &str,
) -> Result<Option<PublicEvent>, StoreError> {
    let requests: Vec<Uuid> = client.grants.keys().copied().collect();
    if requests.is_empty() {
        return Ok(None);
    }
    let provider = identity_provider::load(store, client.identity_provider_id).await?;
    let client_id = client.live().map(|live| live.answer.client_id.clone());
    Ok(some(
        "portico.registration.client_changed",
        &public::ClientChanged {
            application_id: client.application_id.to_string(),
            application_name: client.application.name.clone(),
            identity_provider_id: client.identity_provider_id.to_string(),
            identity_provider_name: name(&provider.state),
            client_id: client_id.unwrap_or_default(),
            request_ids: texts(&requests),
            requester_ids: requesters(client),
            change: change.to_owned(),
            detail: detail.to_owned(),
            by: at.metadata.actor.clone(),
        },
    ))
}

async fn expiring(
    store: &EventStore,
    client: &OauthClient,
    event: &Event,
) -> Result<Option<PublicEvent>, StoreError> {
    let Event::SecretExpiring {
        expires_at,
        days_left,
        rotates,
        ..
    } = *event
    else {
        return Ok(None);
    };
    let provider = identity_provider::load(store, client.identity_provider_id).await?;
    let seconds = i64::try_from(expires_at).ok();
    let at = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    let requests: Vec<Uuid> = client.grants.keys().copied().collect();
    let client_id = client.live().map(|live| live.answer.client_id.clone());
    Ok(some(
        "portico.registration.client_secret_expiring",
        &public::ClientSecretExpiring {
            application_id: client.application_id.to_string(),
            application_name: client.application.name.clone(),
            identity_provider_id: client.identity_provider_id.to_string(),
            identity_provider_name: name(&provider.state),
            client_id: client_id.unwrap_or_default(),
            request_ids: texts(&requests),
            requester_ids: requesters(client),
            expires_at: at.map_or_else(String::new, |at| at.to_string()),
            days_left,
            rotates,
        },
    ))
}

/// Everybody whom the client serves, once.
fn requesters(client: &OauthClient) -> Vec<String> {
    let all = client
        .grants
        .values()
        .map(|grant| grant.requester_id.clone());
    std::collections::BTreeSet::from_iter(all)
        .into_iter()
        .collect()
}

fn started(request: Uuid, application: Uuid, provider: Uuid) -> Option<PublicEvent> {
    some(
        "portico.registration.provisioning_started",
        &public::ProvisioningStarted {
            request_id: request.to_string(),
            application_id: application.to_string(),
            identity_provider_id: provider.to_string(),
        },
    )
}

fn mapped(client: &OauthClient, requests: &[Uuid]) -> Option<PublicEvent> {
    some(
        "portico.registration.gateway_mapped",
        &public::GatewayMapped {
            request_ids: texts(requests),
            application_id: client.application_id.to_string(),
        },
    )
}

fn deprovisioned(request: Uuid, application: Uuid, client_deleted: bool) -> Option<PublicEvent> {
    some(
        "portico.registration.access_deprovisioned",
        &public::AccessDeprovisioned {
            request_id: request.to_string(),
            application_id: application.to_string(),
            client_deleted,
        },
    )
}

fn provisioning_delayed(
    client: &OauthClient,
    request: Uuid,
    delayed: Delayed,
) -> Option<PublicEvent> {
    some(
        "portico.registration.provisioning_delayed",
        &public::ProvisioningDelayed {
            request_id: request.to_string(),
            application_id: client.application_id.to_string(),
            reason: delayed.reason,
            next_try_at: delayed.next_try_at.to_string(),
        },
    )
}

/// Nobody knows when the next try is: it waits for an admin.
fn provisioning_held(client: &OauthClient, request: Uuid, reason: &str) -> Option<PublicEvent> {
    some(
        "portico.registration.provisioning_delayed",
        &public::ProvisioningDelayed {
            request_id: request.to_string(),
            application_id: client.application_id.to_string(),
            reason: format!("the identity provider is paused until an admin sees to it: {reason}"),
            next_try_at: String::new(),
        },
    )
}

fn registered(client: &OauthClient, answer: &Answered, requests: &[Uuid]) -> Option<PublicEvent> {
    some(
        "portico.registration.client_registered",
        &public::ClientRegistered {
            application_id: client.application_id.to_string(),
            identity_provider_id: client.identity_provider_id.to_string(),
            client_id: answer.client_id.clone(),
            request_ids: texts(requests),
        },
    )
}

fn access_provisioned(provisioned: Provisioned) -> Option<PublicEvent> {
    some(
        "portico.registration.access_provisioned",
        &public::AccessProvisioned {
            request_id: provisioned.request_id.to_string(),
            application_id: provisioned.application_id.to_string(),
            identity_provider_id: provisioned.identity_provider_id.to_string(),
            client_id: provisioned.client_id,
            scopes: provisioned.scopes.into_iter().collect(),
            product_names: provisioned.product_names,
            requester_id: provisioned.requester_id,
            application_name: provisioned.application_name,
        },
    )
}

fn provisioning_failed(failed: Failed, provider: &IdentityProvider) -> Option<PublicEvent> {
    some(
        "portico.registration.provisioning_failed",
        &public::ProvisioningFailed {
            request_id: failed.request_id.to_string(),
            application_id: failed.application_id.to_string(),
            application_name: failed.application_name,
            identity_provider_id: failed.identity_provider_id.to_string(),
            identity_provider_name: name(provider),
            code: failed.code,
            reason: failed.reason,
        },
    )
}

fn name(provider: &IdentityProvider) -> String {
    let settings = provider.settings.as_ref();
    settings
        .map(|settings| settings.name.clone())
        .unwrap_or_default()
}

fn texts(ids: &[Uuid]) -> Vec<String> {
    ids.iter().map(Uuid::to_string).collect()
}

fn some(subject: &'static str, message: &impl Message) -> Option<PublicEvent> {
    Some(PublicEvent {
        subject,
        payload: message.encode_to_vec(),
    })
}
