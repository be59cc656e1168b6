//! Clients that are, or may be, at the provider without being in use here: listed until somebody has resolved them.
//! Pure.

mod unknown;

use std::collections::BTreeSet;

use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use url::Url;
use uuid::Uuid;

use super::deletion::UndeletableClient;
use super::grant::{Outcome, report};
use super::state::{Answered, Link, Live, OauthClient};
use super::{Decision, DeletionEvent, Event as Any, Rejection, only_if};
use crate::client_metadata::ClientRequest;
pub use unknown::UnknownClient;

/// Kind of the vault owner of what orphans are managed with. Its id is the OAuth client's, whose own secrets are
/// erased when nothing of it is left.
pub const ORPHAN_OWNER: &str = "orphan";

/// A client that nobody uses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// It was left without scopes, or has expired.
    pub powerless: bool,
    /// What it may be able to do.
    pub scopes: BTreeSet<String>,
    /// What was sent; by it some providers can be searched.
    pub sent: Option<Box<ClientRequest>>,
    /// How an admin resolved it; none while it is open.
    pub resolution: Option<Resolution>,
}

/// How an orphan came about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum OrphanReason {
    /// No answer came, and none can be found out.
    #[default]
    OutcomeUnknown,
    /// The provider would not delete it.
    DeleteRefused,
    /// The answer came when another client had been registered.
    RegisteredLate,
    /// The provider lists it with a marker of Portico's, and nobody here knows it: it was registered after the instant that
    /// was restored, or by another portal.
    UnknownClient,
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

/// Which client an orphan is, and what it is managed with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundClient {
    /// Marker of the orphan.
    pub marker: String,
    /// RFC 7591 section 3.2.1.
    pub client_id: String,
    /// Registration access token, in the vault under [`ORPHAN_OWNER`].
    pub rat_ref: Option<VaultRef>,
    /// Client configuration endpoint (RFC 7592 section 3), if known.
    pub uri: Option<Url>,
}

/// How an orphan was resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// Marker of the orphan.
    pub marker: String,
    /// What became of it.
    pub how: Resolution,
    /// The reason, in the vault.
    pub note: Option<VaultRef>,
}

/// An orphan that becomes the client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdoptedClient {
    /// Marker of the orphan.
    pub marker: String,
    /// As the provider has it, with a new secret.
    pub answer: Answered,
    /// Client type of the first access request.
    pub client_type_id: Uuid,
}

/// A client that nobody uses.
#[derive(Debug, Clone)]
pub enum Command {
    /// A client was registered after its attempt had been given up.
    Find(FoundClient, BTreeSet<String>),
    /// The provider lists a client that nobody here knows. Has no effect where that is not so any more.
    List(UnknownClient),
    /// Somebody says which client an orphan is.
    Claim(FoundClient),
    /// Somebody has resolved an orphan.
    Resolve(Resolved),
    /// An orphan becomes the client.
    Adopt(AdoptedClient),
}

/// A client that nobody uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// A client was registered after its attempt had been given up.
    OrphanFound {
        /// Which client it is.
        #[serde(flatten)]
        client: FoundClient,
        /// Scopes of the registration request.
        scopes: BTreeSet<String>,
    },
    /// The provider lists a client that nobody here knows.
    UnknownListed(UnknownClient),
    /// Somebody said which client an orphan is.
    OrphanClaimed(FoundClient),
    /// Somebody has resolved an orphan; who is in the metadata.
    OrphanResolved(Resolved),
    /// An orphan is the client now.
    Adopted(AdoptedClient),
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
            Command::Find(client, scopes) => {
                let (client, scopes) = (client.clone(), scopes.clone());
                Ok(vec![Event::OrphanFound { client, scopes }.into()])
            }
            Command::List(unknown) => Ok(only_if(
                !self.knows(unknown),
                Event::UnknownListed(unknown.clone()),
            )),
            Command::Claim(client) => {
                self.open_orphan(&client.marker)?;
                Ok(vec![Event::OrphanClaimed(client.clone()).into()])
            }
            Command::Resolve(resolved) => self.decide_resolution(resolved),
            Command::Adopt(adopted) => {
                self.adoptable(&adopted.marker)?;
                let adopted = Event::Adopted(adopted.clone());
                // What was parked for want of a client goes on.
                let reopened = self.parked().filter_map(|id| {
                    let grant = self.grants.get(&id)?;
                    Some(report(id, grant, Outcome::Started).into())
                });
                Ok(reopened.chain([adopted.into()]).collect())
            }
        }
    }

    /// What was suspected of the client that is known now: what is listed under its marker, and whatever else was listed of
    /// it.
    pub(super) fn cleared(
        &self,
        marker: &str,
        client_id: &str,
        how: Resolution,
    ) -> impl Iterator<Item = Any> {
        let open = self.orphans.iter().filter(|(listed, orphan)| {
            let is_it = *listed == marker || orphan.client_id == client_id;
            is_it && orphan.resolution.is_none()
        });
        let resolved = open.map(|(listed, _)| {
            let marker = listed.clone();
            let note = None;
            Event::OrphanResolved(Resolved { marker, how, note })
        });
        let resolved: Vec<Any> = resolved.map(Into::into).collect();
        resolved.into_iter()
    }

    fn decide_resolution(&self, resolved: &Resolved) -> Decision {
        let marker = resolved.marker.as_str();
        let orphan = self.open_orphan(marker)?;
        let resolved = Event::OrphanResolved(resolved.clone());
        // One that could not be managed is still the client here, until somebody says that it is gone. Where one is wanted,
        // another is registered then.
        let deleted = match self.live() {
            Some(live) if live.answer.client_id == orphan.client_id => {
                self.resolvable(marker, &orphan.client_id)?;
                let unexpected = self.wanted().is_some();
                Some(DeletionEvent::Deleted { unexpected }.into())
            }
            Some(_) | None => None,
        };
        Ok(std::iter::once(resolved.into()).chain(deleted).collect())
    }

    /// Whether this orphan may be said to be gone, or deleted: the client that is in use may be neither, whatever else is
    /// listed of it, unless it is listed because it cannot be managed.
    ///
    /// # Errors
    /// [`Rejection::ClientInUse`].
    pub fn resolvable(&self, marker: &str, client_id: &str) -> Result<(), Rejection> {
        let is_live = |live: &&Live| live.answer.client_id == client_id;
        match (self.live().filter(is_live), self.orphans.get(marker)) {
            (Some(live), Some(orphan))
                if live.marker != marker || orphan.reason != OrphanReason::DeleteRefused =>
            {
                Err(Rejection::ClientInUse)
            }
            _ => Ok(()),
        }
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
            Event::OrphanFound { client, scopes } => {
                let orphan = Orphan {
                    client_id: client.client_id.clone(),
                    rat_ref: client.rat_ref,
                    uri: client.uri.clone(),
                    scopes: scopes.clone(),
                    reason: OrphanReason::RegisteredLate,
                    ..Orphan::default()
                };
                self.orphans.insert(client.marker.clone(), orphan);
            }
            Event::UnknownListed(unknown) => self.list_unknown(unknown),
            Event::OrphanClaimed(client) => {
                if let Some(orphan) = self.orphans.get_mut(&client.marker) {
                    orphan.client_id.clone_from(&client.client_id);
                    orphan.rat_ref = client.rat_ref.or(orphan.rat_ref);
                    orphan.uri = client.uri.clone().or(orphan.uri.take());
                }
            }
            Event::OrphanResolved(resolved) => self.resolve(&resolved.marker, resolved.how),
            Event::Adopted(AdoptedClient {
                marker,
                answer,
                client_type_id,
            }) => {
                self.resolve(marker, Resolution::Adopted);
                // Whatever it is, it is made what is wanted next.
                self.link = Link::Live(Box::new(Live {
                    drifted: true,
                    answer: answer.clone(),
                    client_type_id: *client_type_id,
                    marker: marker.clone(),
                    ..Live::default()
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
            reason: OrphanReason::OutcomeUnknown,
            ..Orphan::default()
        };
        // What is known of it, or was decided about it, since it was listed first stays; only the excerpt of an answer may
        // come later.
        let listed = self.orphans.entry(marker.to_owned()).or_insert(orphan);
        if !detail.is_empty() {
            detail.clone_into(&mut listed.detail);
        }
    }

    /// A client that the provider does not delete is listed. One that keeps its power stays the client, too.
    pub(super) fn list_undeletable(&mut self, refused: &UndeletableClient) {
        let live = self.live();
        let orphan = Orphan {
            detail: refused.problem.reason.clone(),
            client_id: refused.client_id.clone(),
            rat_ref: refused.rat_ref,
            uri: live.and_then(|live| live.answer.registration_client_uri.clone()),
            powerless: refused.powerless,
            scopes: live.map_or_else(BTreeSet::new, |live| match refused.powerless {
                true => BTreeSet::new(),
                false => live.own_scopes(),
            }),
            reason: OrphanReason::DeleteRefused,
            ..Orphan::default()
        };
        self.orphans.insert(refused.marker.clone(), orphan);
    }

    fn resolve(&mut self, marker: &str, how: Resolution) {
        if let Some(orphan) = self.orphans.get_mut(marker) {
            orphan.resolution = Some(how);
            orphan.rat_ref = None;
        }
    }
}
