//! What somebody else did at the provider, found by looking at the client there. Pure.

use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};

use super::state::{Live, OauthClient};
use super::{Decision, Rejection, UpdateEvent, only_if};

/// What was found at the provider.
#[derive(Debug, Clone)]
pub enum Command {
    /// The client is not there any more.
    Missing {
        /// RFC 7591 section 3.2.1.
        client_id: String,
    },
    /// The client was changed there.
    Changed {
        /// RFC 7591 section 3.2.1.
        client_id: String,
        /// Members of RFC 7591 section 2.
        members: Vec<String>,
    },
    /// Looking brought a new registration access token.
    KeepToken {
        /// RFC 7591 section 3.2.1.
        client_id: String,
        /// The new one, in the vault.
        rat_ref: VaultRef,
    },
}

/// What was found at the provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// The client is not there any more, and is wanted: it is registered again, for everybody it served.
    FoundMissing {
        /// RFC 7591 section 3.2.1.
        client_id: String,
    },
    /// The client was changed there by somebody else: it is made again what is wanted.
    FoundChanged {
        /// Members of RFC 7591 section 2.
        members: Vec<String>,
    },
}

impl OauthClient {
    pub(super) fn decide_drift(&self, command: &Command) -> Decision {
        match command {
            Command::Missing { client_id } => {
                self.at_rest(client_id)?;
                let client_id = client_id.clone();
                Ok(vec![Event::FoundMissing { client_id }.into()])
            }
            Command::Changed { client_id, members } => {
                let known = self.at_rest(client_id)?.drifted;
                let members = members.clone();
                Ok(only_if(!known, Event::FoundChanged { members }))
            }
            Command::KeepToken { client_id, rat_ref } => {
                self.at_rest(client_id)?;
                Ok(vec![
                    UpdateEvent::TokenReplaced { rat_ref: *rat_ref }.into(),
                ])
            }
        }
    }

    pub(super) fn apply_drift(&mut self, event: &Event) {
        match event {
            Event::FoundMissing { .. } => self.gone(),
            Event::FoundChanged { .. } => {
                if let Some(live) = self.live_mut() {
                    live.drifted = true;
                }
                self.refused = None;
            }
        }
    }

    /// The client that somebody looked at, where it is wanted and nothing is under way.
    fn at_rest(&self, client_id: &str) -> Result<&Live, Rejection> {
        self.live()
            .filter(|live| live.answer.client_id == client_id && live.operation.is_none())
            .filter(|_| self.wanted().is_some())
            .ok_or(Rejection::Superseded)
    }
}
