//! A product: APIs that developers ask for access to, opened by scopes that belong to it alone.
//!
//! Draft -> published -> draft ...; deleted at the end. With dynamic client registration it has at least one scope
//! from the beginning, and at least one client type while it is published.
//!
//! | file | inside |
//! |---|---|
//! | `details` | the fields that an admin fills in, and an update of them |
//! | `command`, `event`, `rejection` | what is asked, what happened, why not |
//! | `decide`, `evolve` | the rules |

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
    details::{Api, Details, Visibility},
    event::Event,
    rejection::Rejection,
};

/// Stage of a product's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// Only admins see it.
    Draft,
    /// In the catalogue.
    Published,
    /// Its scopes are free for another.
    Deleted,
}

impl Status {
    /// As in REST, gRPC and the view.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// State of a product's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Product {
    /// `None` before it was created.
    pub status: Option<Status>,
    /// As last changed; kept after the deletion.
    pub details: Details,
    /// The Unix epoch before it was created.
    pub created_at: Timestamp,
    /// Time of the last event.
    pub updated_at: Timestamp,
}

impl Aggregate for Product {
    const CATEGORY: &'static str = "product";
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

impl Product {
    /// The status of a product that exists: never `Deleted`.
    fn present(&self) -> Result<Status, Rejection> {
        self.status
            .filter(|status| *status != Status::Deleted)
            .ok_or(Rejection::NotFound)
    }
}
