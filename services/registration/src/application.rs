//! What is known here of an application. Messages come in any order, and a change may come before the first
//! approval; so the newest is kept, whether there is an OAuth client yet or not.

use std::convert::Infallible;

use portico_eventstore::Aggregate;
use serde::{Deserialize, Serialize};

/// What is followed of an application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Display name.
    pub name: String,
    /// Already checked: exact, absolute, without fragment or wildcard.
    pub redirect_urls: Vec<String>,
    /// Position in the log of the access-request service. Messages come in any order; the highest is the newest.
    pub as_of: i64,
    /// An admin has suspended it.
    pub suspended: bool,
}

/// The newest that is known; none as long as nothing is.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownApplication {
    pub(crate) newest: Option<Application>,
}

/// The access-request service says how the application is.
#[derive(Debug, Clone)]
pub(crate) struct Note(pub(crate) Application);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum Event {
    /// It is newer than what was known.
    Noted(Application),
}

impl Aggregate for KnownApplication {
    const CATEGORY: &'static str = "application";
    type Command = Note;
    type Event = Event;
    type Rejection = Infallible;

    fn decide(&self, Note(application): &Note) -> Result<Vec<Event>, Infallible> {
        let newer = self
            .newest
            .as_ref()
            .is_none_or(|known| application.as_of > known.as_of);
        Ok(newer
            .then(|| Event::Noted(application.clone()))
            .into_iter()
            .collect())
    }

    fn evolve(&mut self, Event::Noted(application): &Event) {
        self.newest = Some(application.clone());
    }
}

#[cfg(test)]
mod tests {
    use portico_eventstore::testing::given;

    use super::*;

    fn application(name: &str, as_of: i64) -> Application {
        Application {
            name: name.into(),
            redirect_urls: Vec::new(),
            as_of,
            suspended: false,
        }
    }

    #[test]
    fn only_what_is_newer_is_noted() {
        let noted = Event::Noted(application("b", 7));
        given::<KnownApplication>([])
            .when(&Note(application("b", 7)))
            .then([noted.clone()]);
        given::<KnownApplication>([noted.clone()])
            .when(&Note(application("a", 3)))
            .then_nothing();
        given::<KnownApplication>([noted])
            .when(&Note(application("b", 7)))
            .then_nothing();
    }
}
