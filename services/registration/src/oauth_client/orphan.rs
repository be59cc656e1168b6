//! Clients that are, or may be, at the provider without being in use here: listed until somebody has seen to them.
//! Pure.

use std::collections::BTreeSet;

use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};
use url::Url;

use super::decide::Decision;
use super::event::{Event, Target, Wanted};
use super::state::{Link, Live, OauthClient, Stage};
use super::{Command, Failing, Rejection};
use crate::providers::WantedClient;

/// Kind of the vault owner of what orphans are managed with. Its id is the OAuth client's, whose own secrets are
/// erased when nothing of it is left.
pub const ORPHAN_OWNER: &str = "orphan";

/// Such a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Orphan {
    /// How it came about.
    pub reason: OrphanReason,
    /// The provider's own words, where it had some.
    pub detail: String,
    /// RFC 7591 section 3.2.1; empty where nobody knows it.
    pub client_id: String,
    /// What it is managed with.
    pub rat_ref: Option<VaultRef>,
    /// Where it is managed.
    pub uri: Option<Url>,
    /// It was left without scopes.
    pub powerless: bool,
    /// What was sent; by it some providers can be searched.
    pub sent: Option<Box<WantedClient>>,
    /// What became of it.
    pub resolution: Option<Resolution>,
}

/// How an orphan came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrphanReason {
    /// No answer came, and none can be found out.
    OutcomeUnknown,
    /// The provider would not delete it.
    DeleteRefused,
    /// The answer came when another client had been registered.
    RegisteredLate,
}

/// What became of an orphan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It is the application's client now.
    Adopted,
    /// It was deleted at the provider.
    Deleted,
    /// Somebody saw to it elsewhere, or nothing can be done.
    Dismissed,
}

impl OrphanReason {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutcomeUnknown => "outcome_unknown",
            Self::DeleteRefused => "delete_refused",
            Self::RegisteredLate => "registered_late",
        }
    }
}

impl Resolution {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adopted => "adopted",
            Self::Deleted => "deleted",
            Self::Dismissed => "dismissed",
        }
    }
}

impl OauthClient {
    /// An orphan that nobody has seen to.
    ///
    /// # Errors
    /// [`Rejection::OrphanUnknown`], [`Rejection::OrphanResolved`].
    pub fn open_orphan(&self, marker: &str) -> Result<&Orphan, Rejection> {
        let orphan = self.listed.get(marker).ok_or(Rejection::OrphanUnknown)?;
        match orphan.resolution {
            None => Ok(orphan),
            Some(_) => Err(Rejection::OrphanResolved),
        }
    }

    pub(super) fn decide_orphans(&self, command: &Command) -> Decision {
        match command {
            Command::RefuseDelete {
                client_id,
                failing,
                powerless,
                rat_ref,
            } => self.decide_undeletable(client_id, failing, *powerless, *rat_ref),
            Command::FindOrphan {
                marker,
                client_id,
                rat_ref,
                uri,
            } => Ok(vec![Event::OrphanFound {
                marker: marker.clone(),
                client_id: client_id.clone(),
                rat_ref: *rat_ref,
                uri: uri.clone(),
            }]),
            Command::ClaimOrphan {
                marker,
                client_id,
                rat_ref,
                uri,
            } => {
                self.open_orphan(marker)?;
                Ok(vec![Event::OrphanClaimed {
                    marker: marker.clone(),
                    client_id: client_id.clone(),
                    rat_ref: *rat_ref,
                    uri: uri.clone(),
                }])
            }
            Command::ResolveOrphan { marker, how, note } => {
                let orphan = self.open_orphan(marker)?;
                let resolved = Event::OrphanResolved {
                    marker: marker.clone(),
                    how: *how,
                    note: *note,
                };
                // One that could not be deleted is still the client here, until somebody says that it is gone.
                let live = self.live().is_some_and(|live| {
                    live.answer.client_id == orphan.client_id && self.wanted().is_none()
                });
                let deleted = live.then_some(Event::Deleted { unexpected: false });
                Ok(std::iter::once(resolved).chain(deleted).collect())
            }
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
                let retried = self
                    .parked()
                    .map(|request_id| Event::Retried { request_id });
                Ok(retried.chain([adopted]).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    fn decide_undeletable(
        &self,
        client_id: &str,
        failing: &Failing,
        powerless: bool,
        rat_ref: Option<VaultRef>,
    ) -> Decision {
        let live = self
            .live()
            .filter(|live| live.answer.client_id == client_id);
        let live = live.ok_or(Rejection::Superseded)?;
        let marker = self.mark(live);
        let listed = self.listed.get(&marker);
        if listed.is_some_and(|orphan| orphan.powerless == powerless) {
            return Ok(Vec::new());
        }
        Ok(vec![Event::DeleteRefused {
            marker,
            client_id: client_id.to_owned(),
            code: failing.code.clone(),
            reason: failing.reason.clone(),
            powerless,
            rat_ref,
        }])
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
    pub fn type_for_adoption(&self) -> Option<uuid::Uuid> {
        let parked = self.parked().filter_map(|id| self.grants.get(&id));
        self.first_client_type().or_else(|| {
            parked
                .min_by_key(|grant| grant.order)
                .map(|grant| grant.client_type_id)
        })
    }

    /// Requests that the provider has refused.
    fn parked(&self) -> impl Iterator<Item = uuid::Uuid> {
        let parked = self.grants.iter().filter(|(_, grant)| {
            matches!(&grant.stage, Stage::Failed { target, .. } if *target == Target::Provider)
        });
        parked.map(|(id, _)| *id)
    }

    /// What the client is marked with at the provider. Those of earlier versions did not keep it.
    fn mark(&self, live: &Live) -> String {
        if live.marker.is_empty() {
            let id = Self::id(self.application_id, self.identity_provider_id);
            return format!("{id}.{}", live.answer.client_id);
        }
        live.marker.clone()
    }

    pub(super) fn apply_orphans(&mut self, event: &Event) {
        match event {
            Event::DeleteRefused {
                marker,
                client_id,
                reason,
                powerless,
                rat_ref,
                ..
            } => {
                let uri = self
                    .live()
                    .and_then(|live| live.answer.registration_client_uri.clone());
                let orphan = Orphan {
                    reason: OrphanReason::DeleteRefused,
                    detail: reason.clone(),
                    client_id: client_id.clone(),
                    rat_ref: *rat_ref,
                    uri,
                    powerless: *powerless,
                    sent: None,
                    resolution: None,
                };
                self.listed.insert(marker.clone(), orphan);
                if *powerless {
                    self.gone();
                }
            }
            Event::OrphanFound {
                marker,
                client_id,
                rat_ref,
                uri,
            } => {
                let orphan = Orphan {
                    reason: OrphanReason::RegisteredLate,
                    detail: String::new(),
                    client_id: client_id.clone(),
                    rat_ref: *rat_ref,
                    uri: uri.clone(),
                    powerless: false,
                    sent: None,
                    resolution: None,
                };
                self.listed.insert(marker.clone(), orphan);
            }
            Event::OrphanClaimed {
                marker,
                client_id,
                rat_ref,
                uri,
            } => {
                if let Some(orphan) = self.listed.get_mut(marker) {
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
                self.link = Link::Live(Box::new(Live {
                    answer: answer.clone(),
                    client_type_id: *client_type_id,
                    // Whatever it is, it is made what is wanted next.
                    applied: Wanted::default(),
                    operation: None,
                    perhaps: BTreeSet::new(),
                    drifted: true,
                    marker: marker.clone(),
                    old_secret: None,
                    notice: None,
                }));
                self.was_live = true;
                self.succeeded();
            }
            // All others are taken in by the callers.
            _ => {}
        }
    }

    /// An attempt without an outcome is listed.
    pub(super) fn list_suspected(&mut self, marker: &str) {
        let Link::Intended(intended) = &self.link else {
            return;
        };
        let orphan = Orphan {
            reason: OrphanReason::OutcomeUnknown,
            detail: String::new(),
            client_id: String::new(),
            rat_ref: None,
            uri: None,
            powerless: intended.wanted.scopes.is_empty(),
            sent: Some(Box::new(intended.client.clone())),
            resolution: None,
        };
        self.listed.insert(marker.to_owned(), orphan);
    }

    fn resolve(&mut self, marker: &str, how: Resolution) {
        if let Some(orphan) = self.listed.get_mut(marker) {
            orphan.resolution = Some(how);
            orphan.rat_ref = None;
        }
    }

    /// Nothing of ours is at the provider any more; where it is wanted, everybody waits for the next client.
    pub(super) fn gone(&mut self) {
        self.link = Link::None;
        for grant in self.grants.values_mut() {
            if grant.stage == Stage::Active {
                grant.stage = Stage::Waiting;
            }
        }
        self.replacing = false;
        self.succeeded();
    }
}
