//! Changes of the client at the provider (RFC 7592 section 2.2). Pure.

use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};

use super::state::{ClientProfile, OauthClient, Operation, OperationKind, Succeeded, Wanted};
use super::{Decision, Rejection, Resolution, Step};
use crate::client_metadata::ClientRequest;

/// Changes of the client.
#[derive(Debug, Clone)]
pub enum Command {
    /// An update is about to be attempted.
    Intend {
        /// As it was when the step was decided.
        wanted: Wanted,
        /// Profile merged from the client types of all requests.
        profile: ClientProfile,
    },
    /// The client is as it was wanted.
    Complete(Succeeded),
    /// An answer brought a new registration access token, and nothing else.
    ReplaceToken {
        /// Number of the attempt.
        attempt: u32,
        /// The new one, in the vault.
        rat_ref: VaultRef,
    },
}

/// Changes of the client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// The client is about to be changed.
    #[serde(rename = "update_intended")]
    Intended {
        /// Number of the attempt.
        attempt: u32,
        /// What the client will be after it.
        wanted: Wanted,
        /// Metadata of the request.
        client: ClientRequest,
    },
    /// The client is as it was wanted.
    Updated(Succeeded),
    /// The client is disabled at the provider, or enabled again.
    SuspensionApplied {
        /// It is disabled.
        suspended: bool,
    },
    /// A new registration access token came with an answer that brought nothing else.
    TokenReplaced {
        /// New registration access token, in the vault.
        rat_ref: VaultRef,
    },
}

impl OauthClient {
    pub(super) fn decide_update(&self, command: &Command) -> Decision {
        match command {
            Command::Intend { wanted, profile } => self.decide_update_intent(wanted, profile),
            Command::Complete(succeeded) => {
                let live = self.live().ok_or(Rejection::Superseded)?;
                self.operation(succeeded.attempt)?;
                let wanted = live.update_under_way().ok_or(Rejection::Superseded)?;
                let switched = live.applied.suspended != wanted.suspended;
                let suspended = wanted.suspended;
                let updated = Event::Updated(succeeded.clone());
                let answer = &succeeded.answer;
                let switched = switched.then_some(Event::SuspensionApplied { suspended });
                let done = switched.into_iter().chain([updated]).map(Into::into);
                // It could not be managed for a time, and was listed.
                Ok(self
                    .cleared(&live.marker, &answer.client_id, Resolution::Adopted)
                    .chain(done)
                    .chain(self.ungranted(wanted, answer))
                    .collect())
            }
            Command::ReplaceToken { attempt, rat_ref } => {
                self.operation(*attempt)?;
                Ok(vec![Event::TokenReplaced { rat_ref: *rat_ref }.into()])
            }
        }
    }

    pub(super) fn apply_update(&mut self, event: &Event) {
        match event {
            Event::Intended {
                attempt,
                wanted,
                client,
            } => {
                let (wanted, client) = (wanted.clone(), Box::new(client.clone()));
                self.began(*attempt, OperationKind::Update { wanted, client });
            }
            Event::Updated(Succeeded { answer, .. }) => {
                if let Some(live) = self.live_mut() {
                    live.answer = answer.clone();
                    live.drifted = false;
                    live.perhaps.clear();
                    if let Some(wanted) = live.update_under_way().cloned() {
                        live.applied = wanted;
                    }
                    live.operation = None;
                }
                self.succeeded();
            }
            // It is in what was applied.
            Event::SuspensionApplied { .. } => {}
            Event::TokenReplaced { rat_ref } => {
                if let Some(live) = self.live_mut() {
                    live.answer.rat_ref = Some(*rat_ref);
                }
            }
        }
    }

    fn decide_update_intent(&self, wanted: &Wanted, profile: &ClientProfile) -> Decision {
        if self.provider_work() != Some(Step::Update(wanted.clone())) {
            return Err(Rejection::Superseded);
        }
        let attempt = self.attempt + 1;
        let client = self.sent(wanted, profile, attempt);
        let before = self.live().and_then(|live| live.operation.as_ref());
        if let Some(OperationKind::Update {
            wanted: intended,
            client: sent,
        }) = before.map(|operation| &operation.kind)
        {
            // The very same update goes on.
            let same = intended == wanted
                && sent.grant_types == client.grant_types
                && sent.response_types == client.response_types;
            if same {
                return Ok(Vec::new());
            }
        }
        Ok(self.started(Event::Intended {
            attempt,
            wanted: wanted.clone(),
            client,
        }))
    }

    /// The operation of this attempt, as long as it has no outcome.
    pub(super) fn operation(&self, attempt: u32) -> Result<&Operation, Rejection> {
        self.live()
            .and_then(|live| live.operation.as_ref())
            .filter(|operation| operation.attempt == attempt)
            .ok_or(Rejection::Superseded)
    }
}
