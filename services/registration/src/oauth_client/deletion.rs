//! Deletion at the provider (RFC 7592 section 2.3), and replacement by another client. Pure.

use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};

use super::state::{Link, Live, OauthClient, OperationKind, Problem};
use super::{Decision, Rejection, Resolution, Step, only_if};

/// A client that the provider does not delete, or of which it does not say that it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndeletableClient {
    /// What it is marked with.
    pub marker: String,
    /// RFC 7591 section 3.2.1.
    pub client_id: String,
    /// The provider's answer.
    pub problem: Problem,
    /// It can get no token: its scopes were taken away instead, or it has expired.
    pub powerless: bool,
    /// Nothing more can be done about it: it is not the client any more, and stays listed.
    pub given_up: bool,
    /// What it is managed with, in the vault under [`super::ORPHAN_OWNER`].
    pub rat_ref: Option<VaultRef>,
}

/// Deletion of a client (RFC 7592 section 2.3).
#[derive(Debug, Clone)]
pub enum Command {
    /// It is about to be attempted.
    Intend,
    /// The client is not at the provider.
    Complete {
        /// RFC 7591 section 3.2.1.
        client_id: String,
    },
    /// The provider does not delete the client.
    Refuse(UndeletableClient),
    /// Delete the client and register another one.
    Replace,
    /// Nothing secret of the client that is gone is in the vault any more.
    ForgetSecrets,
}

/// Deletion of a client (RFC 7592 section 2.3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// The client is about to be deleted.
    #[serde(rename = "delete_intended")]
    Intended {
        /// Number of the attempt.
        attempt: u32,
    },
    /// The client is not at the provider any more.
    Deleted {
        /// By somebody else, against what is wanted.
        unexpected: bool,
    },
    /// The provider does not delete the client.
    #[serde(rename = "delete_refused")]
    Refused(UndeletableClient),
    /// The client is to be deleted and another one registered; who wants it is in the metadata.
    ReplacementIntended,
    /// Nothing secret of the client that is gone is in the vault any more.
    SecretsForgotten,
}

impl OauthClient {
    pub(super) fn decide_deletion(&self, command: &Command) -> Decision {
        match command {
            Command::Intend => {
                if self.provider_work() != Some(Step::Delete) {
                    return Err(Rejection::Superseded);
                }
                let before = self.live().and_then(|live| live.operation.as_ref());
                let intended =
                    before.is_some_and(|operation| operation.kind == OperationKind::Delete);
                let attempt = self.attempt + 1;
                Ok(only_if(!intended, Event::Intended { attempt }))
            }
            Command::Complete { client_id } => {
                let live = self.live();
                let live = live.filter(|live| live.answer.client_id == *client_id);
                let live = live.ok_or(Rejection::Superseded)?;
                let unexpected = self.wanted().is_some();
                // It would not be deleted before, and was listed.
                let listed = self.cleared(&live.marker, client_id, Resolution::Deleted);
                let deleted = Event::Deleted { unexpected }.into();
                Ok(listed.chain([deleted]).collect())
            }
            Command::Refuse(refused) => {
                let live = self.live();
                let is_it = |live: &&Live| {
                    (&live.answer.client_id, &live.marker) == (&refused.client_id, &refused.marker)
                };
                live.filter(is_it).ok_or(Rejection::Superseded)?;
                let is_new = self.orphans.get(&refused.marker).is_none_or(|listed| {
                    listed.resolution.is_some() || listed.powerless != refused.powerless
                });
                Ok(only_if(
                    is_new || refused.given_up,
                    Event::Refused(refused.clone()),
                ))
            }
            Command::Replace => {
                let live = self.changeable()?;
                if live.operation.is_some() {
                    return Err(Rejection::Busy);
                }
                Ok(only_if(!self.replacing, Event::ReplacementIntended))
            }
            Command::ForgetSecrets => Ok(only_if(
                self.link == Link::None && self.secrets_left,
                Event::SecretsForgotten,
            )),
        }
    }

    pub(super) fn apply_deletion(&mut self, event: &Event) {
        match event {
            Event::Intended { attempt } => self.began(*attempt, OperationKind::Delete),
            Event::Deleted { .. } => self.gone(),
            Event::Refused(refused) => {
                self.list_undeletable(refused);
                if refused.given_up {
                    self.gone();
                }
            }
            Event::ReplacementIntended => {
                self.replacing = true;
                self.refused = None;
                self.delay = None;
            }
            Event::SecretsForgotten => self.secrets_left = false,
        }
    }
}
