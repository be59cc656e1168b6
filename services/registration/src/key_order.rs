//! The API keys of one access request, for products without OAuth clients: one key for each product and gateway.
//!
//! Creating a key is not idempotent, so an intent with a mark comes first. An attempt without an outcome is looked
//! for by its mark; a key whose secret got lost is deleted, and another one is made. No event holds a key: it lies in
//! the vault under a reference that follows from the key's id and the attempt, until its owner has seen it.
//!
//! - [`command`], [`event`]: what can be asked, and what happened
//! - [`state`]: what follows from the events
//! - [`step`]: what is to be done next
//! - [`decide`]: which command is taken, and which refused

mod command;
mod decide;
mod event;
mod state;
mod step;
#[cfg(test)]
mod tests;

use portico_eventstore::Aggregate;
use portico_vault::{Owner, VaultRef};
use uuid::Uuid;

pub(crate) use command::{Command, Failing, Rejection};
pub(crate) use event::{Event, Granted, Place, Policies};
pub(crate) use state::{Key, KeyOrder, Link};
pub(crate) use step::Step;

/// The vault owner of a request's keys.
pub(crate) fn owner(request: Uuid) -> Owner {
    Owner::new("api_key", request)
}

/// Where the key of an attempt lies until it was seen.
pub(crate) fn place_in_vault(key: Uuid, attempt: u32) -> VaultRef {
    VaultRef(Uuid::new_v5(&key, format!("key/{attempt}").as_bytes()))
}

/// What the key of an attempt is found by at the gateway.
pub(crate) fn marker(key: Uuid, attempt: u32) -> String {
    format!("portico-{key}-{attempt}")
}

/// The key of a product at a gateway.
pub(crate) fn key_id(request: Uuid, product: &str, gateway: Uuid) -> Uuid {
    Uuid::new_v5(&request, format!("{product}\n{gateway}").as_bytes())
}

impl Aggregate for KeyOrder {
    const CATEGORY: &'static str = "key_order";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        self.decided(command)
    }

    fn evolve(&mut self, event: &Event) {
        self.take(event);
    }
}
