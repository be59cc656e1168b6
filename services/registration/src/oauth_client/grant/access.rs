//! Whether the credentials may be shown, and that they were.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::oauth_client::{Decision, OauthClient, Rejection, only_if};

/// The credentials are shown, or may be from now on.
#[derive(Debug, Clone)]
pub enum Command {
    /// Access-request says that this request is active.
    Activate {
        /// Of this client; one that is over activates nothing.
        request_id: Uuid,
    },
    /// Access-request was asked, and says that access by this client has been active.
    ConfirmActivation,
    /// Somebody looks at the credentials.
    Reveal,
}

/// Who may see the credentials, and who did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// Access by this client is active: its credentials may be shown.
    Activated,
    /// Somebody looked at the secret; who is in the metadata.
    CredentialsRevealed,
}

impl OauthClient {
    pub(in crate::oauth_client) fn decide_access(&self, command: &Command) -> Decision {
        match command {
            Command::Activate { request_id } => Ok(only_if(
                !self.activated && self.grants.contains_key(request_id),
                Event::Activated,
            )),
            Command::ConfirmActivation => Ok(only_if(
                !self.activated && self.live().is_some(),
                Event::Activated,
            )),
            Command::Reveal => {
                self.live().ok_or(Rejection::NotRegistered)?;
                if !self.activated {
                    return Err(Rejection::NotReady);
                }
                if self.is_all_suspended() {
                    return Err(Rejection::Suspended);
                }
                Ok(vec![Event::CredentialsRevealed.into()])
            }
        }
    }

    pub(in crate::oauth_client) fn apply_access(&mut self, event: &Event) {
        match event {
            Event::Activated => self.activated = true,
            Event::CredentialsRevealed => {}
        }
    }
}
