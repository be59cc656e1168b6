//! One message to one person: queued, tried until it is sent or has failed, and sent again on request.
//!
//! | file | inside |
//! |---|---|
//! | `template`, `mail` | which message, to whom, about what; how it can fail; the `Message-ID` |
//! | `command`, `event`, `rejection` | what is asked, what happened, why not |
//! | `decide`, `evolve` | the rules |

mod command;
mod decide;
mod event;
mod evolve;
mod mail;
mod rejection;
mod template;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use portico_eventstore::Aggregate;

pub use {
    command::Command,
    event::Event,
    mail::{Failure, Mail, Reason, message_id},
    rejection::Rejection,
    template::Template,
};

/// How far a delivery is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not queued yet.
    #[default]
    Unknown,
    /// For its first or next attempt.
    Waiting,
    /// An attempt has begun; its outcome is not known.
    Sending,
    /// Accepted by the mail server.
    Sent,
    /// Ended without success.
    Failed,
}

/// State of a delivery's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// `Unknown` before it was queued.
    pub phase: Phase,
    /// `None` before it was queued.
    pub mail: Option<Mail>,
    /// Attempts in all.
    pub attempts: u32,
    /// Attempts since it was queued or last requested again; limited by the configuration.
    pub attempts_of_round: u32,
    /// How often an admin requested it again.
    pub resends: u32,
    /// When the next attempt is due; `None`: at once.
    pub next_try_at: Option<Timestamp>,
}

impl Aggregate for Delivery {
    const CATEGORY: &'static str = "delivery";
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
