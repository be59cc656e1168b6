//! Deletion at the provider (RFC 7592 section 2.3), and replacement by another client. Pure.

use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};

use super::state::{Link, OauthClient, OperationKind, Problem};
use super::{Decision, Rejection, Resolution, Step, only_if};

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
    Refuse {
        /// RFC 7591 section 3.2.1.
        client_id: String,
        /// The provider's answer.
        problem: Problem,
        /// Its scopes were taken away instead.
        powerless: bool,
        /// What it is managed with, in the vault under [`super::ORPHAN_OWNER`].
        rat_ref: Option<VaultRef>,
    },
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
    Refused {
        /// What it is marked with.
        marker: String,
        /// RFC 7591 section 3.2.1.
        client_id: String,
        /// The provider's answer.
        problem: Problem,
        /// Its scopes were taken away instead, and it is given up.
        powerless: bool,
        /// What it is managed with.
        rat_ref: Option<VaultRef>,
    },
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
                let listed = self.cleared(&live.marker, Resolution::Deleted);
                let deleted = Event::Deleted { unexpected }.into();
                Ok(listed.into_iter().chain([deleted]).collect())
            }
            Command::Refuse {
                client_id,
                problem,
                powerless,
                rat_ref,
            } => {
                let live = self.live();
                let live = live.filter(|live| live.answer.client_id == *client_id);
                let marker = &live.ok_or(Rejection::Superseded)?.marker;
                let listed = self.orphans.get(marker);
                Ok(only_if(
                    listed.is_none_or(|orphan| {
                        orphan.resolution.is_some() || orphan.powerless != *powerless
                    }),
                    Event::Refused {
                        marker: marker.clone(),
                        client_id: client_id.clone(),
                        problem: problem.clone(),
                        powerless: *powerless,
                        rat_ref: *rat_ref,
                    },
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
            Event::Refused {
                marker,
                client_id,
                problem,
                powerless,
                rat_ref,
            } => {
                self.list_undeletable(marker, client_id, problem, *powerless, *rat_ref);
                if *powerless {
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
