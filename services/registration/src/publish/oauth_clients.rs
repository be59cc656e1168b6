//! OAuth clients: what is reported of access requests, what scopes are held, and what people are told.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeSet;

use portico_eventstore::relay::PublicEvent;
use portico_eventstore::{EventStore, RecordedEvent, StoreError};
use portico_proto::access::v1::{Report, report};
use portico_proto::registration::v1::{self as public, client_changed::Change};
use portico_proto::time;
use portico_runtime::messages::encode;

use crate::identity_provider::IdentityProvider;
use crate::oauth_client::{
    DeletionEvent, DriftEvent, Event, GrantEvent, HeldScopes, OauthClient, OrphanEvent, Outcome,
    RegistrationEvent, Reported, RotationEvent, UpdateEvent,
};
use crate::wire;

pub(super) async fn translate(
    store: &EventStore,
    at: &RecordedEvent,
    event: Event,
) -> Result<Option<PublicEvent>, StoreError> {
    let translation = Translation { store, at };
    let (change, detail) = match event {
        Event::Grant(GrantEvent::Reported(reported)) => {
            return translation.reported(reported).await;
        }
        Event::Grant(GrantEvent::ScopesHeld(held)) => return translation.held(held).await,
        Event::Registration(RegistrationEvent::Registered(_)) => {
            return translation.registered().await;
        }
        Event::Rotation(RotationEvent::SecretExpiring {
            expires_at,
            days_left,
            rotates,
            silent: false,
        }) => return translation.expiring(expires_at, days_left, rotates).await,
        Event::Update(UpdateEvent::Updated(_)) => return translation.updated().await,
        Event::Update(event) => (switched(&event), None),
        Event::Rotation(event) => (rotated(&event), None),
        Event::Orphan(event) => (adopted(&event), None),
        Event::Drift(DriftEvent::FoundMissing { client_id }) => {
            (Some(Change::Missing), Some(client_id))
        }
        Event::Drift(DriftEvent::FoundChanged { members }) => {
            (Some(Change::Edited), Some(members.join(" ")))
        }
        Event::Grant(GrantEvent::Wanted(_))
        | Event::Registration(
            RegistrationEvent::Intended(_) | RegistrationEvent::OrphanSuspected { .. },
        )
        | Event::Deletion(
            DeletionEvent::ReplacementIntended
            | DeletionEvent::Intended { .. }
            | DeletionEvent::Deleted { .. }
            | DeletionEvent::Refused(_)
            | DeletionEvent::SecretsForgotten,
        )
        | Event::Access(_)
        | Event::Failure(_)
        | Event::Follow(_)
        | Event::OldSecret(_) => (None, None),
    };
    match change {
        Some(change) => translation.changed(change, detail).await,
        None => Ok(None),
    }
}

fn switched(event: &UpdateEvent) -> Option<Change> {
    match event {
        UpdateEvent::SuspensionApplied { suspended: true } => Some(Change::Suspended),
        UpdateEvent::SuspensionApplied { suspended: false } => Some(Change::Resumed),
        UpdateEvent::Intended { .. }
        | UpdateEvent::Updated(_)
        | UpdateEvent::TokenReplaced { .. } => None,
    }
}

fn rotated(event: &RotationEvent) -> Option<Change> {
    match event {
        RotationEvent::SecretRotated(_) => Some(Change::SecretRotated),
        RotationEvent::SecretExpiring { .. }
        | RotationEvent::Intended { .. }
        | RotationEvent::Refused(_) => None,
    }
}

fn adopted(event: &OrphanEvent) -> Option<Change> {
    match event {
        OrphanEvent::Adopted(_) => Some(Change::Adopted),
        OrphanEvent::OrphanFound { .. }
        | OrphanEvent::UnknownListed(_)
        | OrphanEvent::OrphanClaimed(_)
        | OrphanEvent::OrphanResolved(_) => None,
    }
}

/// An event of a client, with what is needed to tell of it.
struct Translation<'a> {
    store: &'a EventStore,
    at: &'a RecordedEvent,
}

impl Translation<'_> {
    /// As of the event.
    async fn client(&self) -> Result<OauthClient, StoreError> {
        self.store
            .load_at::<OauthClient>(self.at.stream_id(), self.at.version)
            .await
    }

    async fn provider_name(&self, client: &OauthClient) -> Result<String, StoreError> {
        let id = client.identity_provider_id;
        let provider = self.store.recent::<IdentityProvider>(id).await?;
        Ok(provider.state.name())
    }

    async fn reported(&self, reported: Reported) -> Result<Option<PublicEvent>, StoreError> {
        let client = self.client().await?;
        let client_deleted = matches!(
            reported.outcome,
            Outcome::Done {
                client_deleted: true
            }
        );
        Ok(Some(encode(
            "portico.registration.registration_reported",
            &public::RegistrationReported {
                application_id: client.application_id.to_string(),
                identity_provider_id: client.identity_provider_id.to_string(),
                identity_provider_name: self.provider_name(&client).await?,
                client_id: client_id(&client),
                client_deleted,
                report: Some(Report {
                    request_id: reported.request_id.to_string(),
                    revision: reported.revision,
                    outcome: Some(outcome(reported.outcome)),
                }),
            },
        )))
    }

    async fn held(&self, held: HeldScopes) -> Result<Option<PublicEvent>, StoreError> {
        let client = self.client().await?;
        let answered = held.answered.into_iter();
        Ok(Some(encode(
            "portico.registration.client_scopes_held",
            &public::ClientScopesHeld {
                application_id: client.application_id.to_string(),
                identity_provider_id: client.identity_provider_id.to_string(),
                scopes: held.scopes.into_iter().collect(),
                answered: answered
                    .map(|(request, revision)| public::AnsweredRevision {
                        request_id: request.to_string(),
                        revision,
                    })
                    .collect(),
            },
        )))
    }

    /// The first client of an application is announced by its access; that one took the place of another is not, as
    /// no request was approved for it.
    async fn registered(&self) -> Result<Option<PublicEvent>, StoreError> {
        match self.client().await?.activated {
            true => self.changed(Change::Replaced, None).await,
            false => Ok(None),
        }
    }

    /// An update may bring another secret (RFC 7592 section 2.2), of which nobody knows who uses the one before.
    async fn updated(&self) -> Result<Option<PublicEvent>, StoreError> {
        let client = self.client().await?;
        if !client.activated {
            return Ok(None);
        }
        let (id, version) = (self.at.stream_id(), self.at.version);
        let before = self.store.load_at::<OauthClient>(id, version - 1).await?;
        let secret = |client: &OauthClient| client.live().map(|live| live.answer.secret_ref);
        match secret(&before) != secret(&client) {
            true => self.changed(Change::SecretRotated, None).await,
            false => Ok(None),
        }
    }

    /// What happened to a client beside its requests, for everybody whom it serves.
    async fn changed(
        &self,
        change: Change,
        detail: Option<String>,
    ) -> Result<Option<PublicEvent>, StoreError> {
        let client = self.client().await?;
        if client.grants.is_empty() {
            return Ok(None);
        }
        Ok(Some(encode(
            "portico.registration.client_changed",
            &public::ClientChanged {
                application_id: client.application_id.to_string(),
                identity_provider_id: client.identity_provider_id.to_string(),
                identity_provider_name: self.provider_name(&client).await?,
                client_id: client_id(&client),
                request_ids: requests(&client),
                requester_ids: requesters(&client),
                change: change.into(),
                detail,
                by: self.at.metadata.actor.clone(),
            },
        )))
    }

    async fn expiring(
        &self,
        expires_at: u64,
        days_left: u32,
        rotates: bool,
    ) -> Result<Option<PublicEvent>, StoreError> {
        let client = self.client().await?;
        Ok(Some(encode(
            "portico.registration.client_secret_expiring",
            &public::ClientSecretExpiring {
                application_id: client.application_id.to_string(),
                identity_provider_id: client.identity_provider_id.to_string(),
                identity_provider_name: self.provider_name(&client).await?,
                client_id: client_id(&client).unwrap_or_default(),
                request_ids: requests(&client),
                requester_ids: requesters(&client),
                expires_at: wire::expiry(expires_at),
                days_left,
                rotates,
            },
        )))
    }
}

fn outcome(outcome: Outcome) -> report::Outcome {
    match outcome {
        Outcome::Started => report::Outcome::Started(report::Started {}),
        Outcome::Done { .. } => report::Outcome::Done(report::Done {}),
        Outcome::NeverCreated => report::Outcome::NothingToDo(report::NothingToDo {
            reason: report::nothing_to_do::Reason::NeverCreated.into(),
        }),
        Outcome::Delayed {
            problem,
            next_try_at,
        } => report::Outcome::Delayed(report::Delayed {
            code: problem.code,
            reason: problem.reason,
            next_try_at: next_try_at.map(time::to_proto),
        }),
        Outcome::Failed(problem) => report::Outcome::Failed(report::Failed {
            code: problem.code,
            reason: problem.reason,
        }),
    }
}

fn client_id(client: &OauthClient) -> Option<String> {
    client.live().map(|live| live.answer.client_id.clone())
}

fn requests(client: &OauthClient) -> Vec<String> {
    client.grants.keys().map(ToString::to_string).collect()
}

/// Everybody whom the client serves, once.
fn requesters(client: &OauthClient) -> Vec<String> {
    let grants = client.grants.values();
    let all: BTreeSet<String> = grants.map(|grant| grant.requester_id.clone()).collect();
    all.into_iter().collect()
}
