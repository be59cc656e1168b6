//! Clients that are, or may be, at the provider without being in use here: listed until somebody has resolved them.
//! Pure.

use std::collections::BTreeSet;

use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use url::Url;
use uuid::Uuid;

use super::grant::{Outcome, report};
use super::state::{Answered, Link, Live, OauthClient, Problem, Wanted};
use super::{Decision, DeletionEvent, Event as Any, Rejection};
use crate::client_metadata::ClientRequest;

/// Kind of the vault owner of what orphans are managed with. Its id is the OAuth client's, whose own secrets are
/// erased when nothing of it is left.
pub const ORPHAN_OWNER: &str = "orphan";

/// A client that nobody uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Orphan {
    /// Reason for being orphaned.
    pub reason: OrphanReason,
    /// The provider's own message, where it had one.
    pub detail: String,
    /// RFC 7591 section 3.2.1; empty where nobody knows it.
    pub client_id: String,
    /// What it is managed with.
    pub rat_ref: Option<VaultRef>,
    /// Client configuration endpoint (RFC 7592 section 3), if known.
    pub uri: Option<Url>,
    /// It was left without scopes.
    pub powerless: bool,
    /// What it may be able to do.
    pub scopes: BTreeSet<String>,
    /// What was sent; by it some providers can be searched.
    pub sent: Option<Box<ClientRequest>>,
    /// How an admin resolved it; none while it is open.
    pub resolution: Option<Resolution>,
}

/// How an orphan came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum OrphanReason {
    /// No answer came, and none can be found out.
    OutcomeUnknown,
    /// The provider would not delete it.
    DeleteRefused,
    /// The answer came when another client had been registered.
    RegisteredLate,
}

/// What became of an orphan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Resolution {
    /// It is the application's client now.
    Adopted,
    /// It was deleted at the provider.
    Deleted,
    /// Somebody took care of it elsewhere, or nothing can be done.
    Dismissed,
}

impl OrphanReason {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Resolution {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A client that nobody uses.
#[derive(Debug, Clone)]
pub enum Command {
    /// A client was registered after its attempt had been given up.
    Find {
        /// Marker by which the client is found at the provider.
        marker: String,
        /// RFC 7591 section 3.2.1.
        client_id: String,
        /// Scopes of the registration request.
        scopes: BTreeSet<String>,
        /// What it is managed with, in the vault under [`ORPHAN_OWNER`].
        rat_ref: Option<VaultRef>,
        /// Client configuration endpoint (RFC 7592 section 3), if known.
        uri: Option<Url>,
    },
    /// Somebody says which client an orphan is.
    Claim {
        /// Marker by which the client is found at the provider.
        marker: String,
        /// RFC 7591 section 3.2.1.
        client_id: String,
        /// As in [`Command::Find`].
        rat_ref: Option<VaultRef>,
        /// Client configuration endpoint (RFC 7592 section 3), if known.
        uri: Option<Url>,
    },
    /// Somebody has resolved an orphan.
    Resolve {
        /// Marker by which the client is found at the provider.
        marker: String,
        /// How it was resolved.
        how: Resolution,
        /// The reason, in the vault.
        note: Option<VaultRef>,
    },
    /// An orphan becomes the client.
    Adopt {
        /// Marker by which the client is found at the provider.
        marker: String,
        /// As the provider has it, with a new secret.
        answer: Answered,
        /// Client type of the first access request.
        client_type_id: Uuid,
    },
}

/// A client that nobody uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// A client was registered after its attempt had been given up.
    OrphanFound {
        /// Marker by which the client is found at the provider.
        marker: String,
        /// RFC 7591 section 3.2.1.
        client_id: String,
        /// Scopes of the registration request.
        scopes: BTreeSet<String>,
        /// What it is managed with.
        rat_ref: Option<VaultRef>,
        /// Client configuration endpoint (RFC 7592 section 3), if known.
        uri: Option<Url>,
    },
    /// Somebody said which client an orphan is.
    OrphanClaimed {
        /// Marker by which the client is found at the provider.
        marker: String,
        /// RFC 7591 section 3.2.1.
        client_id: String,
        /// What it is managed with.
        rat_ref: Option<VaultRef>,
        /// Client configuration endpoint (RFC 7592 section 3), if known.
        uri: Option<Url>,
    },
    /// Somebody has resolved an orphan; who is in the metadata.
    OrphanResolved {
        /// Marker by which the client is found at the provider.
        marker: String,
        /// How it was resolved.
        how: Resolution,
        /// The reason, in the vault.
        note: Option<VaultRef>,
    },
    /// An orphan is the client now.
    Adopted {
        /// Marker by which the client is found at the provider.
        marker: String,
        /// As the provider has it, with a new secret.
        answer: Answered,
        /// Client type of the first access request.
        client_type_id: Uuid,
    },
}

impl OauthClient {
    /// An orphan that nobody has resolved.
    ///
    /// # Errors
    /// [`Rejection::OrphanUnknown`], [`Rejection::OrphanResolved`].
    pub fn open_orphan(&self, marker: &str) -> Result<&Orphan, Rejection> {
        let orphan = self.orphans.get(marker).ok_or(Rejection::OrphanUnknown)?;
        match orphan.resolution {
            None => Ok(orphan),
            Some(_) => Err(Rejection::OrphanResolved),
        }
    }

    pub(super) fn decide_orphan(&self, command: &Command) -> Decision {
        match command {
            Command::Find {
                marker,
                client_id,
                scopes,
                rat_ref,
                uri,
            } => {
                let found = Event::OrphanFound {
                    marker: marker.clone(),
                    client_id: client_id.clone(),
                    scopes: scopes.clone(),
                    rat_ref: *rat_ref,
                    uri: uri.clone(),
                };
                Ok(vec![found.into()])
            }
            Command::Claim {
                marker,
                client_id,
                rat_ref,
                uri,
            } => {
                self.open_orphan(marker)?;
                let claimed = Event::OrphanClaimed {
                    marker: marker.clone(),
                    client_id: client_id.clone(),
                    rat_ref: *rat_ref,
                    uri: uri.clone(),
                };
                Ok(vec![claimed.into()])
            }
            Command::Resolve { marker, how, note } => self.decide_resolution(marker, *how, *note),
            Command::Adopt {
                marker,
                answer,
                client_type_id,
            } => {
                self.adoptable(marker)?;
                let adopted = Event::Adopted {
                    marker: marker.clone(),
                    answer: answer.clone(),
                    client_type_id: *client_type_id,
                };
                // What was parked for want of a client goes on.
                let reopened = self.parked().filter_map(|id| {
                    let grant = self.grants.get(&id)?;
                    Some(report(id, grant, Outcome::Started).into())
                });
                Ok(reopened.chain([adopted.into()]).collect())
            }
        }
    }

    /// What was suspected is known now.
    pub(super) fn cleared(&self, marker: &str, how: Resolution) -> Option<Any> {
        let resolved = Event::OrphanResolved {
            marker: marker.to_owned(),
            how,
            note: None,
        };
        self.open_orphan(marker).is_ok().then(|| resolved.into())
    }

    fn decide_resolution(&self, marker: &str, how: Resolution, note: Option<VaultRef>) -> Decision {
        let orphan = self.open_orphan(marker)?;
        let resolved = Event::OrphanResolved {
            marker: marker.to_owned(),
            how,
            note,
        };
        // One that could not be managed is still the client here, until somebody says that it is gone. Where one is wanted,
        // another is registered then.
        let unexpected = self.wanted().is_some();
        let is_live = self
            .live()
            .is_some_and(|live| live.answer.client_id == orphan.client_id);
        let deleted = (is_live && orphan.reason == OrphanReason::DeleteRefused)
            .then_some(DeletionEvent::Deleted { unexpected });
        let deleted: Option<Any> = deleted.map(Into::into);
        Ok(std::iter::once(resolved.into()).chain(deleted).collect())
    }

    /// Whether the orphan can become the client: there is none, and one is wanted.
    ///
    /// # Errors
    /// As [`OauthClient::open_orphan`], and [`Rejection::HasClient`], [`Rejection::Busy`], [`Rejection::NotWanted`].
    pub fn adoptable(&self, marker: &str) -> Result<&Orphan, Rejection> {
        let orphan = self.open_orphan(marker)?;
        match &self.link {
            Link::Live(_) => return Err(Rejection::HasClient),
            Link::Intended(_) => return Err(Rejection::Busy),
            Link::None => {}
        }
        let wanted = self.wanted().is_some_and(|wanted| !wanted.suspended);
        if wanted || self.parked().next().is_some() {
            Ok(orphan)
        } else {
            Err(Rejection::NotWanted)
        }
    }

    /// The client type of a client that is adopted.
    #[must_use]
    pub fn type_for_adoption(&self) -> Option<Uuid> {
        let parked = self.parked().filter_map(|id| self.grants.get(&id));
        self.first_client_type().or_else(|| {
            parked
                .min_by_key(|grant| grant.order)
                .map(|grant| grant.client_type_id)
        })
    }

    /// Requests that the provider has refused.
    fn parked(&self) -> impl Iterator<Item = Uuid> {
        let parked = self
            .grants
            .iter()
            .filter(|(_, grant)| grant.is_granted() && grant.failure().is_some());
        parked.map(|(id, _)| *id)
    }

    pub(super) fn apply_orphan(&mut self, event: &Event) {
        match event {
            Event::OrphanFound {
                marker,
                client_id,
                scopes,
                rat_ref,
                uri,
            } => {
                let orphan = Orphan {
                    client_id: client_id.clone(),
                    rat_ref: *rat_ref,
                    uri: uri.clone(),
                    scopes: scopes.clone(),
                    ..Orphan::new(OrphanReason::RegisteredLate)
                };
                self.orphans.insert(marker.clone(), orphan);
            }
            Event::OrphanClaimed {
                marker,
                client_id,
                rat_ref,
                uri,
            } => {
                if let Some(orphan) = self.orphans.get_mut(marker) {
                    orphan.client_id.clone_from(client_id);
                    orphan.rat_ref = rat_ref.or(orphan.rat_ref);
                    orphan.uri = uri.clone().or(orphan.uri.take());
                }
            }
            Event::OrphanResolved { marker, how, .. } => self.resolve(marker, *how),
            Event::Adopted {
                marker,
                answer,
                client_type_id,
            } => {
                self.resolve(marker, Resolution::Adopted);
                // Whatever it is, it is made what is wanted next.
                self.link = Link::Live(Box::new(Live {
                    drifted: true,
                    ..Live::new(
                        answer.clone(),
                        *client_type_id,
                        Wanted::default(),
                        marker.clone(),
                    )
                }));
                self.was_live = true;
                self.secrets_left = true;
                self.succeeded();
            }
        }
    }

    /// An attempt without an outcome is listed.
    pub(super) fn list_suspected(&mut self, marker: &str, detail: &str) {
        let Some(intended) = self.intended() else {
            return;
        };
        let orphan = Orphan {
            detail: detail.to_owned(),
            powerless: intended.client.scopes.is_empty(),
            scopes: intended.client.scopes.clone(),
            sent: Some(Box::new(intended.client.clone())),
            ..Orphan::new(OrphanReason::OutcomeUnknown)
        };
        self.orphans.insert(marker.to_owned(), orphan);
    }

    /// A client that the provider does not delete is listed. One that keeps its power stays the client, too.
    pub(super) fn list_undeletable(
        &mut self,
        marker: &str,
        client_id: &str,
        problem: &Problem,
        powerless: bool,
        rat_ref: Option<VaultRef>,
    ) {
        let live = self.live();
        let orphan = Orphan {
            detail: problem.reason.clone(),
            client_id: client_id.to_owned(),
            rat_ref,
            uri: live.and_then(|live| live.answer.registration_client_uri.clone()),
            powerless,
            ..Orphan::new(OrphanReason::DeleteRefused)
        };
        self.orphans.insert(marker.to_owned(), orphan);
    }

    fn resolve(&mut self, marker: &str, how: Resolution) {
        if let Some(orphan) = self.orphans.get_mut(marker) {
            orphan.resolution = Some(how);
            orphan.rat_ref = None;
        }
    }
}

impl Orphan {
    fn new(reason: OrphanReason) -> Self {
        Self {
            reason,
            detail: String::new(),
            client_id: String::new(),
            rat_ref: None,
            uri: None,
            powerless: false,
            scopes: BTreeSet::new(),
            sent: None,
            resolution: None,
        }
    }
}
