//! The conformance check of a provider: a client is registered for the check, and everything is tried with it. This
//! is what is kept of the last one; `worker::conformance` does it.

use std::convert::Infallible;

use jiff::Timestamp;
use portico_eventstore::Aggregate;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

/// The last check of one provider, whose id is the stream's.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConformanceCheck {
    pub(crate) run: Uuid,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) steps: Vec<Step>,
    /// A client that has yet to be deleted: of this check, or of one before.
    pub(crate) left_behind: Option<LeftBehind>,
}

/// A step, and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
    /// The provider's own message.
    pub(crate) detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Outcome {
    Passed,
    Failed,
    NotOffered,
    Skipped,
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A client of a check that is at the provider. What it is managed with is in the spool of its run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftBehind {
    /// Of the check that made it.
    pub(crate) run: Uuid,
    /// RFC 7591 section 3.2.1.
    pub(crate) client_id: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Command {
    Start { run: Uuid, at: Timestamp },
    Register(LeftBehind),
    Note(Step),
    CleanUp,
    Finish { at: Timestamp },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum Event {
    /// A check began; the one before is forgotten.
    Started { run: Uuid, at: Timestamp },
    /// Its client is at the provider.
    Registered(LeftBehind),
    /// A step is over.
    Noted(Step),
    /// The client is not at the provider any more.
    CleanedUp,
    /// All steps are over.
    Finished { at: Timestamp },
}

impl Aggregate for ConformanceCheck {
    const CATEGORY: &'static str = "conformance_check";
    type Command = Command;
    type Event = Event;
    type Rejection = Infallible;

    #[deny(clippy::wildcard_enum_match_arm)]
    fn decide(&self, command: &Command) -> Result<Vec<Event>, Infallible> {
        Ok(vec![match command {
            Command::Start { run, .. } if self.run == *run => return Ok(Vec::new()),
            Command::CleanUp if self.left_behind.is_none() => return Ok(Vec::new()),
            Command::Start { run, at } => Event::Started { run: *run, at: *at },
            Command::Register(client) => Event::Registered(client.clone()),
            Command::Note(step) => Event::Noted(step.clone()),
            Command::CleanUp => Event::CleanedUp,
            Command::Finish { at } => Event::Finished { at: *at },
        }])
    }

    #[deny(clippy::wildcard_enum_match_arm)]
    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Started { run, at } => {
                self.run = *run;
                self.started_at = Some(*at);
                self.finished_at = None;
                self.steps.clear();
            }
            Event::Registered(client) => self.left_behind = Some(client.clone()),
            Event::Noted(step) => self.steps.push(step.clone()),
            Event::CleanedUp => self.left_behind = None,
            Event::Finished { at } => self.finished_at = Some(*at),
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_eventstore::testing::given;

    use super::*;

    fn started(run: u128) -> Event {
        Event::Started {
            run: Uuid::from_u128(run),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn client() -> LeftBehind {
        LeftBehind {
            run: Uuid::from_u128(1),
            client_id: "c".into(),
        }
    }

    #[test]
    fn a_repeated_start_is_one_check() {
        let command = Command::Start {
            run: Uuid::from_u128(1),
            at: Timestamp::UNIX_EPOCH,
        };
        given::<ConformanceCheck>([])
            .when(&command)
            .then([started(1)]);
        given::<ConformanceCheck>([started(1)])
            .when(&command)
            .then_nothing();
    }

    #[test]
    fn a_client_that_was_left_behind_is_known_until_it_is_gone() {
        let mut check = ConformanceCheck::default();
        for event in [started(1), Event::Registered(client()), started(2)] {
            check.evolve(&event);
        }
        assert_eq!(check.left_behind, Some(client()));
        check.evolve(&Event::CleanedUp);
        assert_eq!(check.left_behind, None);
        given::<ConformanceCheck>([started(1)])
            .when(&Command::CleanUp)
            .then_nothing();
    }
}
