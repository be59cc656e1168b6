//! What one access request is entitled to at the gateways: the scopes of an OAuth client mapped to policies, or API
//! keys. One stream for each request, of either kind of credential.
//!
//! The access-request service says what is wanted, by revision; every revision is answered by a [`Report`]. What is
//! reported follows from the state alone ([`report`]), so a report is never forgotten and never repeated.
//!
//! - [`command`], [`event`]: nested by subject: access, scopes, mapping, keys, tries
//! - [`state`]: what follows from the events; [`decide`], [`evolve`]
//! - [`scopes`]: which scopes an OAuth client may hold because of this request
//! - [`keys`]: API keys. Creating one is not idempotent, so an intent with a marker comes first, and an attempt
//!   without an outcome is looked for by it
//! - [`step`]: what is to be done next

#![deny(clippy::wildcard_enum_match_arm)]

mod command;
mod decide;
mod event;
mod evolve;
mod keys;
mod report;
mod scopes;
mod state;
mod step;
#[cfg(test)]
mod tests;

use portico_eventstore::Aggregate;
use portico_vault::{Owner, VaultRef};
use uuid::Uuid;

pub(crate) use command::{
    AccessCommand, Command, Failing, KeyCommand, MappingCommand, Rejection, ScopesCommand,
    TryCommand,
};
pub(crate) use event::{Event, KeyEvent, ReportEvent};
pub(crate) use keys::{Key, KeyPlace, KeyPolicies, Link};
pub(crate) use report::{GATEWAY_MISSING, IDENTITY_PROVIDER_UNKNOWN, SCOPE_STILL_HELD};
pub(crate) use report::{Nothing, Outcome, Report};
pub(crate) use scopes::Claim;
pub(crate) use state::{Credential, Entitlement, Prospect, Reason, Wanted, WantedState};
pub(crate) use step::Step;

/// The vault owner of a request's keys.
pub(crate) fn owner(request: Uuid) -> Owner {
    Owner::new("api_key", request)
}

/// Where the key of an attempt lies in the vault until its owner has seen it.
pub(crate) fn place_in_vault(key: Uuid, attempt: u32) -> VaultRef {
    VaultRef(Uuid::new_v5(&key, format!("key/{attempt}").as_bytes()))
}

/// By which the key of an attempt is found at the gateway.
pub(crate) fn marker(key: Uuid, attempt: u32) -> String {
    format!("portico-{key}-{attempt}")
}

/// The key of a product at a gateway.
pub(crate) fn key_id(request: Uuid, product: &str, gateway: Uuid) -> Uuid {
    Uuid::new_v5(&request, format!("{product}\n{gateway}").as_bytes())
}

impl Aggregate for Entitlement {
    const CATEGORY: &'static str = "entitlement";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    /// A command's own events, and the report that is due after them.
    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        let mut events = self.decided(command)?;
        if !events.is_empty() {
            let mut after = self.clone();
            events.iter().for_each(|event| after.take(event));
            let report = after.due_report();
            events.extend(report.map(|report| ReportEvent::Reported(report).into()));
        }
        Ok(events)
    }

    fn evolve(&mut self, event: &Event) {
        self.take(event);
    }
}
