//! What others learn of API keys. Never a key.

use portico_eventstore::relay::PublicEvent;
use portico_eventstore::{EventStore, RecordedEvent, StoreError};
use portico_proto::registration::v1 as public;
use uuid::Uuid;

use super::some;
use crate::key_order::{Event, KeyOrder};
use crate::views::key_orders as view;

pub(super) async fn of_keys(
    store: &EventStore,
    at: &RecordedEvent,
    event: Event,
) -> Result<Option<PublicEvent>, StoreError> {
    let request = at.stream_id();
    let order = store.load_at::<KeyOrder>(request, at.version).await?;
    let changed = |key: Uuid, change: &str| key_changed(at, &order, key, change);
    Ok(match event {
        Event::Granted(_) => some(
            "portico.registration.provisioning_started",
            &public::ProvisioningStarted {
                request_id: request.to_string(),
                application_id: order.application_id.to_string(),
                identity_provider_id: String::new(),
            },
        ),
        Event::Created {
            key_id,
            replaces: false,
            ..
        } => changed(key_id, "key_created"),
        Event::Created { key_id, .. } => changed(key_id, "key_replaced"),
        Event::Revealed { key_id, .. } => changed(key_id, "key_revealed"),
        Event::Deleted { key_id, .. } => changed(key_id, "key_deleted"),
        Event::Provisioned => some(
            "portico.registration.access_provisioned",
            &public::AccessProvisioned {
                request_id: request.to_string(),
                application_id: order.application_id.to_string(),
                identity_provider_id: String::new(),
                client_id: String::new(),
                scopes: Vec::new(),
                product_names: order.product_names(),
                requester_id: order.requester_id.clone(),
                application_name: order.application.name.clone(),
            },
        ),
        Event::Deprovisioned => some(
            "portico.registration.access_deprovisioned",
            &public::AccessDeprovisioned {
                request_id: request.to_string(),
                application_id: order.application_id.to_string(),
                client_deleted: false,
            },
        ),
        Event::Delayed {
            reason,
            next_try_at,
            ..
        } => some(
            "portico.registration.provisioning_delayed",
            &public::ProvisioningDelayed {
                request_id: request.to_string(),
                application_id: order.application_id.to_string(),
                reason,
                next_try_at: next_try_at.to_string(),
            },
        ),
        Event::Failed {
            code,
            reason,
            gateway_id,
        } => failed(store, request, &order, code, reason, gateway_id).await?,
        Event::Withdrawn { .. }
        | Event::SuspensionChanged { .. }
        | Event::ApplicationChanged(_)
        | Event::CatalogueChanged(_)
        | Event::Placed { .. }
        | Event::Intended { .. }
        | Event::Undone { .. }
        | Event::ReplacementAsked { .. }
        | Event::OldDeleted { .. }
        | Event::Wiped { .. }
        | Event::PoliciesWritten
        | Event::Retried => None,
    })
}

fn key_changed(
    at: &RecordedEvent,
    order: &KeyOrder,
    key: Uuid,
    change: &str,
) -> Option<PublicEvent> {
    let product = order
        .keys
        .get(&key)
        .and_then(|key| order.item(&key.product_id));
    some(
        "portico.registration.api_key_changed",
        &public::ApiKeyChanged {
            request_id: at.stream_id().to_string(),
            application_id: order.application_id.to_string(),
            api_key_id: key.to_string(),
            product_name: product.map_or_else(String::new, |item| item.product_name.clone()),
            change: change.to_owned(),
            by: at.metadata.actor.clone(),
        },
    )
}

/// The gateway stands where an identity provider stands otherwise.
async fn failed(
    store: &EventStore,
    request: Uuid,
    order: &KeyOrder,
    code: String,
    reason: String,
    gateway_id: Option<Uuid>,
) -> Result<Option<PublicEvent>, StoreError> {
    let place = match gateway_id {
        Some(gateway) => view::gateway_name(store.database().pool(), gateway).await?,
        None => String::new(),
    };
    Ok(some(
        "portico.registration.provisioning_failed",
        &public::ProvisioningFailed {
            request_id: request.to_string(),
            application_id: order.application_id.to_string(),
            application_name: order.application.name.clone(),
            identity_provider_id: String::new(),
            identity_provider_name: place,
            code,
            reason,
        },
    ))
}
