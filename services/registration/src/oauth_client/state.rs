//! The state of an OAuth client, folded from its events.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use super::grant::held::HeldScopes;
use super::grant::{Grant, Standing};
use super::orphan::Orphan;
use super::registration::RegistrationIntended;
use super::rotation::Notice;
use super::rotation::old_secret::OldSecret;
use crate::application::Application;
use crate::client_metadata::{ClientRequest, Difference, Metadata};

/// One application's OAuth client at one identity provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OauthClient {
    /// Nil as long as nothing happened.
    pub application_id: Uuid,
    /// Nil as long as nothing happened.
    pub identity_provider_id: Uuid,
    /// The newest that is known.
    pub application: Application,
    /// Access requests that are not over.
    pub grants: BTreeMap<Uuid, Grant>,
    /// Revoked requests of which nothing is left, with their revision; an earlier one has no effect any more.
    pub ended: BTreeMap<Uuid, u64>,
    /// Counts the grants.
    pub order: u64,
    /// Counts every attempt of any kind, from 1.
    pub attempt: u32,
    /// What is at the provider.
    pub link: Link,
    /// The pause before the next attempt.
    pub delay: Option<Delay>,
    /// What the provider refused last, for good.
    pub refused: Option<Refusal>,
    /// The provider takes no registrations.
    pub paused: Option<Problem>,
    /// One of several waiting requests spoils it for the others: each is tried on its own.
    pub one_at_a_time: bool,
    /// Suspected orphans in a row.
    pub suspicions: u32,
    /// Searches for the client of the attempt to register that found nothing.
    #[serde(default)]
    pub looks: u32,
    /// It was registered at least once.
    pub was_live: bool,
    /// How the last rotation ended, where it was refused.
    pub rotation_refused: Option<(u32, Problem)>,
    /// The client is to be deleted and another one registered.
    pub replacing: bool,
    /// Clients at the provider that nobody uses, by their markers.
    pub orphans: BTreeMap<String, Orphan>,
    /// Access by this client has been active, so its credentials may be shown.
    pub activated: bool,
    /// Secrets of a client that is gone may be in the vault.
    pub secrets_left: bool,
    /// The last published set of scopes that the client may hold.
    pub held: HeldScopes,
}

/// A stable code and a message for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable code for programs.
    pub code: String,
    /// The provider's own message where it had one.
    pub reason: String,
}

/// What is at the provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// Nothing of ours, save for suspected orphans.
    #[default]
    None,
    /// Perhaps a client: the attempt has no outcome yet.
    Intended(Box<RegistrationIntended>),
    /// Registered and not deleted.
    Live(Box<Live>),
}

/// A registered client.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// The latest that is known.
    pub answer: Answered,
    /// Decides how the client authenticates.
    pub client_type_id: Uuid,
    /// What the provider made it.
    pub applied: Wanted,
    /// What has no outcome yet.
    pub operation: Option<Operation>,
    /// Scopes of updates without an outcome whose place another operation has taken. They may be there, until an
    /// update is known to have been done.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub perhaps: BTreeSet<String>,
    /// Somebody else changed it at the provider, or its client type has changed.
    pub drifted: bool,
    /// What it is marked with at the provider.
    pub marker: String,
    /// The secret before the last rotation, as long as it works.
    pub old_secret: Option<OldSecret>,
    /// The last notice before its secret expires.
    pub notice: Option<Notice>,
}

impl Live {
    /// The scopes at the provider that are, or may be, Portico's; any other is somebody else's and stays.
    #[must_use]
    pub fn own_scopes(&self) -> BTreeSet<String> {
        let mut scopes = self.applied.scopes.union(&self.perhaps).cloned().collect();
        if let Some(wanted) = self.update_under_way() {
            scopes = wanted.scopes.union(&scopes).cloned().collect();
        }
        scopes
    }

    /// The scopes of Portico's that the client has, as far as the provider has said.
    pub(super) fn granted_scopes(&self) -> BTreeSet<String> {
        let applied = &self.applied.scopes;
        match self.answer.granted.scopes() {
            Some(granted) => applied.intersection(&granted).cloned().collect(),
            None => applied.clone(),
        }
    }

    /// What an update without an outcome makes the client.
    pub(super) fn update_under_way(&self) -> Option<&Wanted> {
        match &self.operation.as_ref()?.kind {
            OperationKind::Update { wanted, .. } => Some(wanted),
            OperationKind::Rotate { .. } | OperationKind::Delete => None,
        }
    }

    /// Whether a rotation has no outcome yet.
    #[must_use]
    pub fn is_rotating(&self) -> bool {
        let kind = self.operation.as_ref().map(|operation| &operation.kind);
        matches!(kind, Some(OperationKind::Rotate { .. }))
    }
}

/// What the client is to be, as the grants and the application want it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Name and redirect URLs of the application, see [`Application::profile`].
    pub profile: Uuid,
    /// Of all grants. Grant and response types are the union; the first one of the client decides the rest.
    pub client_type_ids: BTreeSet<Uuid>,
    /// Union of the scopes of all grants.
    pub scopes: BTreeSet<String>,
    /// Nothing of it works for a time: it has no scopes, and is disabled where the provider can do that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
}

/// What the client types of a client make it. Grant and response types are the union of all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientProfile {
    /// RFC 7591 section 2.
    pub grant_types: BTreeSet<String>,
    /// RFC 7591 section 2.
    pub response_types: BTreeSet<String>,
    /// RFC 7591 section 2; of the client type that came first.
    pub token_endpoint_auth_method: String,
    /// As [`ClientProfile::token_endpoint_auth_method`]; used by Okta only.
    pub okta_application_type: String,
}

/// What an answer of the provider says about the client. Without any secret.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// RFC 7591 section 3.2.1.
    pub client_id: String,
    /// None for a public client.
    pub secret_ref: Option<VaultRef>,
    /// The latest registration access token (RFC 7592 section 3); none where the provider gave none.
    pub rat_ref: Option<VaultRef>,
    /// Used verbatim.
    pub registration_client_uri: Option<Url>,
    /// Unix seconds, 0: never.
    pub secret_expires_at: u64,
    /// The metadata as granted, less what people wrote.
    pub granted: Metadata,
    /// The rest of it, see [`Echo`](crate::client_metadata::Echo); in the vault under [`super::APPLICATION_OWNER`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo_ref: Option<VaultRef>,
    /// Where it differs from what was asked.
    pub differences: Vec<Difference>,
    /// What an admin should know beyond that.
    pub warnings: Vec<String>,
    /// Why the client can get no token. As long as it stands, no request is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<Problem>,
}

/// The provider did what an attempt asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Succeeded {
    /// Number of the attempt.
    pub attempt: u32,
    /// The provider's response.
    pub answer: Answered,
}

/// What may have been done at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Number of the attempt.
    pub attempt: u32,
    /// Kind of the call and its input.
    pub kind: OperationKind,
}

/// See [`Operation`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// RFC 7592 section 2.2.
    Update {
        /// What the client will be after it.
        wanted: Wanted,
        /// Metadata of the request.
        client: Box<ClientRequest>,
    },
    /// Rotation of the client secret.
    Rotate {
        /// Secret chosen for the client, in the vault.
        secret_ref: VaultRef,
    },
    /// RFC 7592 section 2.3.
    Delete,
}

/// Pause before the next attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delay {
    /// Why the last attempt failed.
    pub problem: Problem,
    /// End of the pause.
    pub next_try_at: Timestamp,
    /// Failed attempts in a row.
    pub attempts: u32,
    /// Something is to be taken away and cannot be: it is tried from time to time, for ever.
    pub stuck_since: Option<Timestamp>,
}

/// What was refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// While just this is wanted, nothing is tried.
    pub wanted: Option<Wanted>,
    /// The provider's answer.
    pub problem: Problem,
    /// Time of the refusal.
    pub at: Timestamp,
}

impl OauthClient {
    /// The client of an application at a provider.
    #[must_use]
    pub fn id(application_id: Uuid, identity_provider_id: Uuid) -> Uuid {
        Uuid::new_v5(&application_id, identity_provider_id.as_bytes())
    }

    /// The registered client.
    #[must_use]
    pub fn live(&self) -> Option<&Live> {
        match &self.link {
            Link::Live(live) => Some(live),
            Link::None | Link::Intended(_) => None,
        }
    }

    pub(super) fn live_mut(&mut self) -> Option<&mut Live> {
        match &mut self.link {
            Link::Live(live) => Some(live),
            Link::None | Link::Intended(_) => None,
        }
    }

    /// The attempt to register that has no outcome yet.
    #[must_use]
    pub fn intended(&self) -> Option<&RegistrationIntended> {
        match &self.link {
            Link::Intended(intended) => Some(intended),
            Link::None | Link::Live(_) => None,
        }
    }

    /// An operation begins. What the one before it may have done stays possible until an update is known to be done.
    pub(super) fn began(&mut self, attempt: u32, kind: OperationKind) {
        self.attempt = attempt;
        if let Some(live) = self.live_mut() {
            if let Some(before) = live.update_under_way() {
                let scopes = before.scopes.clone();
                live.perhaps.extend(scopes);
            }
            live.operation = Some(Operation { attempt, kind });
        }
    }

    /// The provider did what was wanted.
    pub(super) fn succeeded(&mut self) {
        self.delay = None;
        self.refused = None;
        self.paused = None;
        self.suspicions = 0;
    }

    /// The attempt has an outcome: nothing came of it.
    pub(super) fn attempt_over(&mut self) {
        match &mut self.link {
            Link::Intended(_) => self.link = Link::None,
            Link::Live(live) => live.operation = None,
            Link::None => {}
        }
    }

    /// Nothing of ours is at the provider any more; where a client is wanted, everybody waits for the next one, which
    /// has another id.
    pub(super) fn gone(&mut self) {
        self.link = Link::None;
        for grant in self.grants.values_mut() {
            if grant.is_granted() && grant.standing == Standing::Done {
                grant.standing = Standing::Started;
            }
            // A revision that was refused had a client all the same.
            grant.try_anew();
            grant.served = false;
        }
        if self.wanted().is_none() {
            // The next client's credentials are not shown before its own access is active.
            self.activated = false;
        }
        self.replacing = false;
        self.succeeded();
    }
}
