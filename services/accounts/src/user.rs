//! The user: one person's account, from sign-up to erasure, and the API tokens that they created.
//!
//! | file | inside |
//! |---|---|
//! | `command`, `event` | what is asked and what happened, by subject: the account, an API token |
//! | `rejection` | why not, and the error that callers get |
//! | `decide`, `evolve` | the rules |

mod command;
mod decide;
mod event;
mod evolve;
mod rejection;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use portico_eventstore::Aggregate;
use portico_runtime::Role;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

pub use {
    command::{AccountCommand, ApiTokenCommand, Command},
    event::{AccountEvent, ApiTokenEvent, Event},
    rejection::Rejection,
};

/// Live API tokens that one user may have; expired and revoked ones are not counted.
pub const MOST_API_TOKENS: usize = 100;

/// Whether a user may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// Not before an admin activates them.
    Pending,
    /// May sign in.
    Active,
    /// Not until an admin activates them again.
    Suspended,
    /// Never again: their personal data are deleted.
    Erased,
}

impl Status {
    /// As in REST, gRPC and the view.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// State of a user's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// None before they signed up.
    account: Option<Account>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    role: Role,
    status: Status,
    /// Signed up where an admin decides, and not activated yet: suspended or not, being activated lets them in.
    awaits_approval: bool,
    let_in: bool,
    /// Revoked ones stay, so that an id is never issued twice.
    tokens: BTreeMap<Uuid, ApiToken>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ApiToken {
    expires_at: Timestamp,
    revoked: bool,
}

impl Aggregate for User {
    const CATEGORY: &'static str = "user";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        decide::decide(self, command)
    }

    fn evolve(&mut self, event: &Event) {
        evolve::evolve(self, event);
    }
}
