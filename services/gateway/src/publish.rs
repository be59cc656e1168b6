//! Private events as public ones. A private event becomes one public event at most, and never holds a key.

#![deny(clippy::wildcard_enum_match_arm)]

use async_trait::async_trait;
use portico_eventstore::relay::{PublicEvent, Publish};
use portico_eventstore::{EventStore, RecordedEvent, StoreError};
use portico_proto::access::v1::{self as access, report};
use portico_proto::gateway::v1::{self as public, api_key_changed::Change};
use portico_proto::time;
use portico_runtime::messages::encode;
use uuid::Uuid;

use crate::entitlement::{
    Entitlement, Event, KeyEvent, Nothing, Outcome, Reason, Report, ReportEvent,
};
use crate::views::gateways as view;

pub(crate) struct Publisher;

#[async_trait]
impl Publish for Publisher {
    async fn publish(
        &self,
        store: &EventStore,
        event: &RecordedEvent,
    ) -> Result<Option<PublicEvent>, StoreError> {
        match event.decode::<Entitlement>()? {
            Some(Event::Report(ReportEvent::Reported(reported))) => {
                of_report(store, event, reported).await.map(Some)
            }
            Some(Event::Key(change)) => of_key(store, event, &change).await,
            Some(Event::Access(_) | Event::Scopes(_) | Event::Mapping(_) | Event::Try(_))
            | None => Ok(None),
        }
    }
}

async fn of_report(
    store: &EventStore,
    at: &RecordedEvent,
    reported: Report,
) -> Result<PublicEvent, StoreError> {
    let request = at.stream_id();
    let entitlement = store.load_at::<Entitlement>(request, at.version).await?;
    let gateway = reason(&reported.outcome).and_then(|reason| reason.gateway_id);
    let gateway_name = match gateway {
        Some(gateway) => Some(view::name(store.database().pool(), gateway).await?),
        None => None,
    };
    let report = access::Report {
        request_id: request.to_string(),
        revision: reported.revision,
        outcome: Some(outcome(reported.outcome)),
    };
    Ok(encode(
        "portico.gateway.gateway_reported",
        &public::GatewayReported {
            report: Some(report),
            application_id: entitlement.application_id().to_string(),
            gateway_id: gateway.map(|id| id.to_string()),
            gateway_name,
        },
    ))
}

fn reason(outcome: &Outcome) -> Option<&Reason> {
    match outcome {
        Outcome::Delayed { reason, .. } | Outcome::Failed(reason) => Some(reason),
        Outcome::Started | Outcome::Done | Outcome::NothingToDo(_) => None,
    }
}

fn outcome(outcome: Outcome) -> report::Outcome {
    match outcome {
        Outcome::Started => report::Outcome::Started(report::Started {}),
        Outcome::Done => report::Outcome::Done(report::Done {}),
        Outcome::NothingToDo(nothing) => {
            let reason = match nothing {
                Nothing::NoGateway => report::nothing_to_do::Reason::NoGateway,
                Nothing::NoApis => report::nothing_to_do::Reason::NoApis,
                Nothing::NeverCreated => report::nothing_to_do::Reason::NeverCreated,
            };
            report::Outcome::NothingToDo(report::NothingToDo {
                reason: reason.into(),
            })
        }
        Outcome::Delayed {
            reason,
            next_try_at,
        } => report::Outcome::Delayed(report::Delayed {
            code: reason.code,
            reason: reason.message,
            next_try_at: next_try_at.map(time::to_proto),
        }),
        Outcome::Failed(reason) => report::Outcome::Failed(report::Failed {
            code: reason.code,
            reason: reason.message,
        }),
    }
}

async fn of_key(
    store: &EventStore,
    at: &RecordedEvent,
    change: &KeyEvent,
) -> Result<Option<PublicEvent>, StoreError> {
    let (key, change) = match change {
        KeyEvent::Created {
            key_id,
            replaces: false,
            ..
        } => (*key_id, Change::Created),
        KeyEvent::Created { key_id, .. } => (*key_id, Change::Replaced),
        KeyEvent::Revealed { key_id, .. } => (*key_id, Change::Revealed),
        KeyEvent::Deleted { key_id, .. } => (*key_id, Change::Deleted),
        KeyEvent::Placed { .. }
        | KeyEvent::Intended { .. }
        | KeyEvent::Undone { .. }
        | KeyEvent::ReplacementAsked { .. }
        | KeyEvent::OldDeleted { .. }
        | KeyEvent::Wiped { .. }
        | KeyEvent::PoliciesWritten
        | KeyEvent::Finished => return Ok(None),
    };
    let request = at.stream_id();
    let entitlement = store.load_at::<Entitlement>(request, at.version).await?;
    Ok(Some(key_changed(at, &entitlement, key, change)))
}

fn key_changed(
    at: &RecordedEvent,
    entitlement: &Entitlement,
    id: Uuid,
    change: Change,
) -> PublicEvent {
    let key = entitlement.keys().get(&id);
    let product = key.and_then(|key| entitlement.item(&key.product_id));
    encode(
        "portico.gateway.api_key_changed",
        &public::ApiKeyChanged {
            request_id: at.stream_id().to_string(),
            application_id: entitlement.application_id().to_string(),
            api_key_id: id.to_string(),
            product_name: product.map_or_else(String::new, |item| item.product.name.clone()),
            change: change.into(),
            by: at.metadata.actor.clone(),
        },
    )
}
