//! A plan: limits that a developer chooses for a product, with scopes that belong to it alone. Files as in
//! [`product`](super::product).

mod command;
mod decide;
mod details;
mod event;
mod evolve;
mod rejection;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use portico_eventstore::Aggregate;
use strum::{EnumString, IntoStaticStr};

pub(crate) use rejection::SCOPES_MISSING;
pub use {
    command::Command,
    details::{Details, Limit},
    event::Event,
    rejection::Rejection,
};

/// Stage of a plan's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// Developers may choose it.
    Active,
    /// Its scopes are free for another.
    Deleted,
}

impl Status {
    /// As in REST, gRPC and the view.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// State of a plan's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// `None` before it was created.
    pub status: Option<Status>,
    /// As last changed; kept after the deletion.
    pub details: Details,
    /// The Unix epoch before it was created.
    pub created_at: Timestamp,
    /// Time of the last event.
    pub updated_at: Timestamp,
}

impl Aggregate for Plan {
    const CATEGORY: &'static str = "plan";
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
