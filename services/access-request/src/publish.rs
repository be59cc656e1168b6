//! Private events become public ones. A new private event does not compile until it is decided here what the other
//! services learn of it.

use async_trait::async_trait;
use portico_eventstore::{
    Aggregate as _, EventStore, RecordedEvent, StoreError, Stream,
    relay::{PublicEvent, Publish},
};
use portico_proto::access::v1 as public;
use portico_runtime::messages::encode;
use portico_vault::VaultRef;
use uuid::Uuid;

use crate::{
    access_request::{
        self, AccessRequest, ApprovedItem, Cause, Credential, Half, Submission, Wanted, access,
        credential, join, request,
    },
    application::{self, Application},
    cart::{self, Cart},
    terms::Limit,
};

pub(crate) const SUBMITTED: &str = "portico.access.access_submitted";
pub(crate) const APPROVED: &str = "portico.access.access_approved";
const REJECTED: &str = "portico.access.access_rejected";
const WITHDRAWN: &str = "portico.access.access_withdrawn";
const REVOKED: &str = "portico.access.access_revoked";
const SUSPENDED: &str = "portico.access.access_suspended";
const RESUMED: &str = "portico.access.access_resumed";
const RETRIED: &str = "portico.access.access_retried";
const SCOPES_CHANGED: &str = "portico.access.access_scopes_changed";
const ACTIVATED: &str = "portico.access.access_activated";
const FAILED: &str = "portico.access.access_failed";
const ENDED: &str = "portico.access.access_ended";
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
        application::Event::Updated(changes) => {
            changes.profile.is_some_and(|new| new.concerns_clients)
        }
        application::Event::Suspended
        | application::Event::Resumed
        | application::Event::Erased => true,
        application::Event::Created { .. } | application::Event::Deleted => false,
    };
    if !concerns_clients {
        return Ok(None);
    }
    let id = event.stream_id();
    let state: Application = store.load_at(id, event.version).await?;
    let message = public::ApplicationChanged {
        application_id: id.to_string(),
        profile_id: profile_id(&state),
        erased: state.is_erased(),
        suspended: state.suspended,
    };
    Ok(Some(encode(APPLICATION_CHANGED, &message)))
}

/// Every event that raises the revision is published with the complete wanted state, so that nobody needs an earlier
/// message.
async fn of_request(
    store: &EventStore,
    event: &RecordedEvent,
    change: &access_request::Event,
) -> Result<Option<PublicEvent>, StoreError> {
    use access_request::Event;
    Ok(Some(match change {
        Event::Request(request::Event::Submitted(submission)) => {
            submitted(event.stream_id(), submission)
        }
        Event::Request(request::Event::Approved { .. }) => {
            let message = public::AccessApproved {
                wanted: Some(Snapshot::load(store, event).await?.wanted()),
                approved_by: event.metadata.actor.clone(),
            };
            encode(APPROVED, &message)
        }
        Event::Request(request::Event::Rejected { .. }) => {
            Snapshot::load(store, event).await?.rejected()
        }
        Event::Request(request::Event::Withdrawn { .. }) => {
            Snapshot::load(store, event).await?.withdrawn()
        }
        Event::Access(change) => Snapshot::load(store, event).await?.access(change),
        Event::Join(join::Event::Activated(_)) => Snapshot::load(store, event).await?.activated(),
        Event::Join(join::Event::Failed(_)) => Snapshot::load(store, event).await?.failed(),
        Event::Join(join::Event::Ended(_)) => Snapshot::load(store, event).await?.ended(),
        // The halves know what they reported.
        Event::Join(join::Event::Reported(_))
        | Event::Credential(credential::Event::CredentialChanged(_)) => return Ok(None),
    }))
}

/// A request and its application as they were at an event. What people wrote is not published: who needs it asks for the
/// access request.
struct Snapshot {
    id: Uuid,
    request: AccessRequest,
    application: Application,
}

impl Snapshot {
    async fn load(store: &EventStore, event: &RecordedEvent) -> Result<Self, StoreError> {
        let id = event.stream_id();
        let request: AccessRequest = store.load_at(id, event.version).await?;
        let application = application_at(store, request.submission.application_id, event).await?;
        Ok(Self {
            id,
            request,
            application,
        })
    }

    fn wanted(self) -> public::WantedAccess {
        use public::wanted_access::{Credential as Kind, State};
        let state = match self.request.wanted() {
            Some(Wanted::Granted) => State::Granted,
            Some(Wanted::Suspended) => State::Suspended,
            Some(Wanted::Revoked) => State::Revoked,
            None => State::Unspecified,
        };
        let submission = &self.request.submission;
        public::WantedAccess {
            request_id: self.id.to_string(),
            revision: self.request.revision(),
            state: state.into(),
            application_id: submission.application_id.to_string(),
            profile_id: profile_id(&self.application),
            application_erased: self.application.is_erased(),
            application_suspended: self.application.suspended,
            requester_id: submission.requester_id.to_string(),
            credential: Some(match oauth_client(submission) {
                Some(client) => Kind::OauthClient(client),
                None => Kind::ApiKey(public::ApiKeyCredential {}),
            }),
            items: self.request.items.into_iter().map(item).collect(),
        }
    }

    fn access(self, change: &access::Event) -> PublicEvent {
        let wanted = Some(self.wanted());
        match change {
            access::Event::Suspended { .. } => suspended(wanted, false),
            access::Event::AccountSuspended => suspended(wanted, true),
            access::Event::Resumed | access::Event::AccountActivated => {
                encode(RESUMED, &public::AccessResumed { wanted })
            }
            access::Event::Revoked { .. } => encode(REVOKED, &public::AccessRevoked { wanted }),
            access::Event::Retried => encode(RETRIED, &public::AccessRetried { wanted }),
            access::Event::ScopesChanged { .. } => {
                encode(SCOPES_CHANGED, &public::AccessScopesChanged { wanted })
            }
        }
    }

    fn rejected(self) -> PublicEvent {
        let submission = self.request.submission;
        let message = public::AccessRejected {
            request_id: self.id.to_string(),
            application_id: submission.application_id.to_string(),
            requester_id: submission.requester_id.to_string(),
        };
        encode(REJECTED, &message)
    }

    fn withdrawn(self) -> PublicEvent {
        let submission = self.request.submission;
        let message = public::AccessWithdrawn {
            request_id: self.id.to_string(),
            application_id: submission.application_id.to_string(),
            requester_id: submission.requester_id.to_string(),
        };
        encode(WITHDRAWN, &message)
    }

    fn activated(self) -> PublicEvent {
        use public::access_activated::Credential as Kind;
        let submission = &self.request.submission;
        let items = self.request.items.iter();
        let message = public::AccessActivated {
            request_id: self.id.to_string(),
            revision: self.request.revision(),
            cause: cause(self.request.revisions.last()).into(),
            application_id: submission.application_id.to_string(),
            requester_id: submission.requester_id.to_string(),
            product_names: items.map(|item| item.product.name.clone()).collect(),
            credential: Some(match oauth_client(submission) {
                Some(client) => Kind::OauthClient(client),
                None => Kind::ApiKey(public::ApiKeyCredential {}),
            }),
        };
        encode(ACTIVATED, &message)
    }

    fn failed(self) -> PublicEvent {
        let submission = &self.request.submission;
        let mut message = public::AccessFailed {
            request_id: self.id.to_string(),
            revision: self.request.revision(),
            application_id: submission.application_id.to_string(),
            requester_id: submission.requester_id.to_string(),
            ..public::AccessFailed::default()
        };
        if let Some(failure) = self.request.failure() {
            message.set_half(match failure.half {
                Half::Registration => public::Half::Registration,
                Half::Gateway => public::Half::Gateway,
            });
            message.neighbour_name = failure.neighbour.map(str::to_owned);
            message.code = failure.code.to_owned();
            message.reason = failure.reason.to_owned();
        }
        encode(FAILED, &message)
    }

    fn ended(self) -> PublicEvent {
        let submission = &self.request.submission;
        let message = public::AccessEnded {
            request_id: self.id.to_string(),
            revision: self.request.revision(),
            application_id: submission.application_id.to_string(),
            requester_id: submission.requester_id.to_string(),
            client_deleted: self.request.client_deleted(),
        };
        encode(ENDED, &message)
    }
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
    let items = submission.items.iter();
    let message = public::AccessSubmitted {
        request_id: id.to_string(),
        application_id: submission.application_id.to_string(),
        requester_id: submission.requester_id.to_string(),
        product_names: items.map(|item| item.product_name.clone()).collect(),
    };
    encode(SUBMITTED, &message)
}

fn suspended(wanted: Option<public::WantedAccess>, with_account: bool) -> PublicEvent {
    let message = public::AccessSuspended {
        wanted,
        with_account,
    };
    encode(SUSPENDED, &message)
}

fn cause(cause: Option<&Cause>) -> public::access_activated::Cause {
    use public::access_activated::Cause as Public;
    match cause {
        Some(Cause::Approved) => Public::Approved,
        Some(Cause::Retried) => Public::Retried,
        Some(Cause::Resumed | Cause::AccountActivated) => Public::Resumed,
        Some(Cause::ScopesChanged) => Public::ScopesChanged,
        // Nothing is activated by these.
        Some(Cause::Suspended | Cause::AccountSuspended | Cause::Revoked) | None => {
            Public::Unspecified
        }
    }
}

fn oauth_client(submission: &Submission) -> Option<public::OauthClientCredential> {
    match &submission.credential {
        Credential::OauthClient(client) => Some(public::OauthClientCredential {
            identity_provider_id: client.identity_provider_id.to_string(),
            client_type_id: client.client_type_id.to_string(),
        }),
        Credential::ApiKey => None,
    }
}

fn item(ApprovedItem { product, plan }: ApprovedItem) -> public::ApprovedItem {
    let apis = product.apis.into_iter().map(|api| public::ApprovedApi {
        api_id: api.api_id,
        name: api.name,
        url: api.url,
        gateway_id: api.gateway_id,
    });
    let rate = |Limit { requests, seconds }| public::ApprovedRate {
        requests,
        per_seconds: seconds,
    };
    let quota = |Limit { requests, seconds }| public::ApprovedQuota {
        requests,
        renews_every_seconds: seconds,
    };
    public::ApprovedItem {
        product_id: product.product_id.to_string(),
        product_name: product.name,
        product_scopes: product.scopes.into_iter().collect(),
        product_policy_id: product.policy_id,
        apis: apis.collect(),
        plan_id: plan.plan_id.to_string(),
        plan_name: plan.name,
        plan_scopes: plan.scopes.into_iter().collect(),
        plan_policy_id: plan.policy_id,
        rate: plan.rate.map(rate),
        quota: plan.quota.map(quota),
        product_version: product.version,
        plan_version: plan.version,
    }
}

/// What clients are to be named after, for who asks for it.
fn profile_id(application: &Application) -> String {
    let profile = application.client_profile;
    profile.map_or_else(String::new, |VaultRef(id)| id.to_string())
}
