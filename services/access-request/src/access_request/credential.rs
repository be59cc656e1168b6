//! What happens to the OAuth client or an API key beside the wanted state. It stands in the timeline and says nothing
//! about where the request stands.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AccessRequest, Decided, Decision, Half, Rejection};

/// A change, as registration or gateway published it. Nothing personal and no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The half that published the change.
    pub half: Half,
    /// Position in the half's log.
    pub position: i64,
    /// Time at the half that published it.
    pub at: Timestamp,
    /// Kind of the change.
    pub change: ChangeKind,
    /// Detail for the timeline; may be empty.
    pub detail: String,
    /// A user's id, or the service that did it.
    pub by: String,
}

/// The timeline's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Disabled, or without scopes for a time.
    ClientSuspended,
    /// Works again.
    ClientResumed,
    /// Deleted and registered anew.
    ClientReplaced,
    /// Somebody else deleted it at the provider.
    ClientMissing,
    /// Somebody else edited it at the provider.
    ClientEdited,
    /// A client that was not known here is the application's now.
    ClientAdopted,
    /// It has a new secret.
    SecretRotated,
    /// An API key was created.
    KeyCreated,
    /// Its owner has another API key in place of one.
    KeyReplaced,
    /// Its owner was shown an API key.
    KeyRevealed,
    /// An API key is gone from the gateway.
    KeyDeleted,
    /// Something that only a later version has a word for.
    ClientChanged,
}

/// What was published about a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// Something happened to the client or a key.
    CredentialChanged(Change),
}

impl AccessRequest {
    pub(super) fn decide_credential(&self, change: &Change) -> Decided {
        if self.decision == Decision::None {
            return Err(Rejection::NotFound);
        }
        Ok(vec![Event::CredentialChanged(change.clone()).into()])
    }
}
