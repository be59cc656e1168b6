//! One application's OAuth client at one identity provider: the heart of the service.
//!
//! Grants say what is wanted, the provider's answers what is there; [`OauthClient::next_step`] is the difference,
//! and the worker does it. Every attempt is intended first, by an event, so that a process that dies leaves
//! nothing behind that is not looked for.
//!
//! - `event`: what happened
//! - `state`, `evolve`: what it makes of the client
//! - `step`: what is to be done next
//! - `summary`: how it looks from outside
//! - `command`, `decide`, `failure`: what can be asked, and what comes of it
//! - `catalogue`: what it follows of products and plans
//! - `lifecycle`: suspension, replacement, the end of secrets
//! - `old_secret`: the secret before a rotation, where both work for a time
//! - `orphan`: clients at the provider that nobody uses

mod catalogue;
mod command;
mod decide;
mod event;
mod evolve;
mod failure;
mod lifecycle;
mod old_secret;
mod orphan;
mod state;
mod step;
mod summary;
#[cfg(test)]
mod tests;

use portico_eventstore::Aggregate;

pub use command::{Command, Failing, Kind, Rejection};
pub use event::{
    Answered, Delayed, Event, Failed, Granted, Provisioned, Refused, RegistrationIntended, Target,
    Wanted,
};
pub use lifecycle::{NOTICES, Notice, Suspension};
pub use old_secret::OldSecret;
pub use orphan::{ORPHAN_OWNER, Orphan, OrphanReason, Resolution};
pub use state::{
    Delay, Grant, Link, Live, OauthClient, Operation, OperationKind, Refusal, Stage, Words,
};
pub use step::Step;

/// Kind of the vault owner whose id is the OAuth client's.
pub const OWNER: &str = "oauth_client";

impl Aggregate for OauthClient {
    const CATEGORY: &'static str = "oauth_client";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        self.decided(command)
    }

    fn evolve(&mut self, event: &Event) {
        self.apply(event);
    }
}
