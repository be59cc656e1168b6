//! Private events become public ones. A new private event does not compile until it is decided here what the other
//! services learn of it.

use async_trait::async_trait;
use portico_eventstore::{
    Aggregate as _, EventStore, RecordedEvent, StoreError, Stream,
    relay::{PublicEvent, Publish},
};
use portico_proto::access::v1 as public;
use prost::Message;
use uuid::Uuid;

use crate::{
    access_request::{self, AccessRequest, ApprovedItem, RequestedItem, Submission},
    application::{self, Application},
    cart::{self, Cart},
};

pub(crate) const SUBMITTED: &str = "portico.access.access_submitted";
const APPROVED: &str = "portico.access.access_approved";
const REJECTED: &str = "portico.access.access_rejected";
const WITHDRAWN: &str = "portico.access.access_withdrawn";
const REVOKED: &str = "portico.access.access_revoked";
const SUSPENDED: &str = "portico.access.access_suspended";
const RESUMED: &str = "portico.access.access_resumed";
const RETRIED: &str = "portico.access.access_retried";
const APPLICATION_CHANGED: &str = "portico.access.application_changed";

/// Translates this service's events.
pub(crate) struct PublicEvents;

#[async_trait]
impl Publish for PublicEvents {
    async fn publish(
        &self,
        store: &EventStore,
        event: &RecordedEvent,
    ) -> Result<Option<PublicEvent>, StoreError> {
        if let Some(change) = event.decode::<Application>()? {
            return of_application(store, event, &change).await;
        }
        if let Some(change) = event.decode::<Cart>()? {
            return Ok(match change {
                cart::Event::Replaced { .. } | cart::Event::CheckedOut { .. } => None,
            });
        }
        match event.decode::<AccessRequest>()? {
            Some(change) => of_request(store, event, &change).await,
            None => Ok(None),
        }
    }
}

async fn of_application(
    store: &EventStore,
    event: &RecordedEvent,
    change: &application::Event,
) -> Result<Option<PublicEvent>, StoreError> {
    let concerns_clients = match change {
        application::Event::Updated(changes) => changes.concern_clients(),
        application::Event::Suspended | application::Event::Resumed => true,
        application::Event::Created { .. } | application::Event::Deleted => false,
    };
    if !concerns_clients {
        return Ok(None);
    }
    let id = event.stream_id();
    let state: Application = store.load_at(id, event.version).await?;
    let message = public::ApplicationChanged {
        application_id: id.to_string(),
        redirect_urls: urls(&state),
        name: state.profile.name,
        suspended: state.suspended,
    };
    Ok(Some(encode(APPLICATION_CHANGED, &message)))
}

async fn of_request(
    store: &EventStore,
    event: &RecordedEvent,
    change: &access_request::Event,
) -> Result<Option<PublicEvent>, StoreError> {
    use access_request::Event;
    let id = event.stream_id();
    let public = match change {
        Event::Submitted(submission) => submitted(id, submission),
        Event::Approved { items, .. } => {
            let submission = submission(store, event).await?;
            let application = application_at(store, submission.application_id, event).await?;
            let by = &event.metadata.actor;
            approved(id, &submission, items, &application, by)
        }
        Event::Rejected { .. } => {
            let submission = submission(store, event).await?;
            let application = application_at(store, submission.application_id, event).await?;
            rejected(id, &submission, application)
        }
        Event::Withdrawn { .. } => {
            let submission = submission(store, event).await?;
            let message = public::AccessWithdrawn {
                request_id: id.to_string(),
                application_id: submission.application_id.to_string(),
                requester_id: submission.requester_id.to_string(),
            };
            encode(WITHDRAWN, &message)
        }
        Event::Revoked { .. } => {
            let submission = submission(store, event).await?;
            let application = application_at(store, submission.application_id, event).await?;
            revoked(id, &submission, application)
        }
        Event::Suspended { .. } => {
            let submission = submission(store, event).await?;
            let application = application_at(store, submission.application_id, event).await?;
            encode(
                SUSPENDED,
                &public::AccessSuspended {
                    request_id: id.to_string(),
                    application_id: submission.application_id.to_string(),
                    application_name: application.profile.name,
                    requester_id: submission.requester_id.to_string(),
                    identity_provider_id: submission.identity_provider(),
                },
            )
        }
        Event::Resumed => {
            let submission = submission(store, event).await?;
            let application = application_at(store, submission.application_id, event).await?;
            encode(
                RESUMED,
                &public::AccessResumed {
                    request_id: id.to_string(),
                    application_id: submission.application_id.to_string(),
                    application_name: application.profile.name,
                    requester_id: submission.requester_id.to_string(),
                    identity_provider_id: submission.identity_provider(),
                },
            )
        }
        Event::Retried => {
            let submission = submission(store, event).await?;
            let message = public::AccessRetried {
                request_id: id.to_string(),
                application_id: submission.application_id.to_string(),
                identity_provider_id: submission.identity_provider(),
            };
            encode(RETRIED, &message)
        }
        // The registration service knows what it reported.
        Event::Reported(_) => return Ok(None),
    };
    Ok(Some(public))
}

async fn submission(store: &EventStore, event: &RecordedEvent) -> Result<Submission, StoreError> {
    let state: AccessRequest = store.load_at(event.stream_id(), event.version).await?;
    Ok(state.submission)
}

/// The application as the log has it up to the event: a change before it is in, one after it is an
/// `ApplicationChanged` with a later position.
async fn application_at(
    store: &EventStore,
    id: Uuid,
    event: &RecordedEvent,
) -> Result<Application, StoreError> {
    let mut state = Application::default();
    for earlier in store.read_stream(&Stream::of::<Application>(id)).await? {
        if earlier.position < event.position
            && let Some(change) = earlier.decode::<Application>()?
        {
            state.evolve(&change);
        }
    }
    Ok(state)
}

fn submitted(id: Uuid, submission: &Submission) -> PublicEvent {
    let message = public::AccessSubmitted {
        request_id: id.to_string(),
        application_id: submission.application_id.to_string(),
        application_name: submission.application_name.clone(),
        requester_id: submission.requester_id.to_string(),
        product_names: submission
            .items
            .iter()
            .map(|item| item.product_name.clone())
            .collect(),
    };
    encode(SUBMITTED, &message)
}

fn approved(
    id: Uuid,
    submission: &Submission,
    items: &[ApprovedItem],
    application: &Application,
    by: &str,
) -> PublicEvent {
    let items = submission.items.iter().map(|asked| {
        let granted = items.iter().find(|i| i.product_id == asked.product_id);
        approved_item(asked, granted.cloned().unwrap_or_default())
    });
    let message = public::AccessApproved {
        request_id: id.to_string(),
        application_id: submission.application_id.to_string(),
        application_name: application.profile.name.clone(),
        redirect_urls: urls(application),
        requester_id: submission.requester_id.to_string(),
        identity_provider_id: submission.identity_provider(),
        client_type_id: submission.client_type(),
        items: items.collect(),
        approved_by: by.to_owned(),
        application_suspended: application.suspended,
    };
    encode(APPROVED, &message)
}

fn approved_item(asked: &RequestedItem, granted: ApprovedItem) -> public::ApprovedItem {
    let apis = granted.apis.into_iter().map(|api| public::ApprovedApi {
        api_id: api.api_id,
        name: api.name,
        url: api.url,
        gateway_id: api.gateway_id,
    });
    public::ApprovedItem {
        product_id: asked.product_id.to_string(),
        product_name: asked.product_name.clone(),
        product_scopes: asked.product_scopes.clone(),
        product_policy_id: granted.product_policy_id,
        apis: apis.collect(),
        plan_id: asked.plan_id.to_string(),
        plan_name: asked.plan_name.clone(),
        plan_scopes: asked.plan_scopes.clone(),
        plan_policy_id: granted.plan_policy_id,
        rate: granted.rate.map(|rate| public::ApprovedRate {
            requests: rate.requests,
            per_seconds: rate.seconds,
        }),
        quota: granted.quota.map(|quota| public::ApprovedQuota {
            requests: quota.requests,
            renews_every_seconds: quota.seconds,
        }),
        product_version: granted.product_version,
        plan_version: granted.plan_version,
    }
}

/// Without the reason, which a person wrote: who needs it asks for the access request.
fn rejected(id: Uuid, submission: &Submission, application: Application) -> PublicEvent {
    let message = public::AccessRejected {
        request_id: id.to_string(),
        application_id: submission.application_id.to_string(),
        application_name: application.profile.name,
        requester_id: submission.requester_id.to_string(),
        reason: String::new(),
    };
    encode(REJECTED, &message)
}

/// Without the reason, as [`rejected`].
fn revoked(id: Uuid, submission: &Submission, application: Application) -> PublicEvent {
    let message = public::AccessRevoked {
        request_id: id.to_string(),
        application_id: submission.application_id.to_string(),
        application_name: application.profile.name,
        requester_id: submission.requester_id.to_string(),
        identity_provider_id: submission.identity_provider(),
        reason: String::new(),
    };
    encode(REVOKED, &message)
}

fn urls(application: &Application) -> Vec<String> {
    application
        .profile
        .redirect_urls
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn encode(subject: &'static str, message: &impl Message) -> PublicEvent {
    PublicEvent {
        subject,
        payload: message.encode_to_vec(),
    }
}
