//! What Portico owns at one API of a gateway: entries of its scope mapping, and sources of keys.
//!
//! Whose an entry is cannot be seen at the gateway, so it is recorded here: before writing what will be owned, after
//! writing what is. A process that dies in between has recorded too much, never too little.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, BTreeSet};

use portico_eventstore::Aggregate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What Portico wrote to one API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// Scopes of the mapping, and the policies that they give.
    pub entries: BTreeMap<String, String>,
    /// Sources of keys that Portico filled in, the present one and earlier ones.
    pub jwks_uris: BTreeSet<String>,
}

impl Owned {
    /// This, and what is planned.
    #[must_use]
    pub fn with(&self, planned: &Self) -> Self {
        let mut all = self.clone();
        all.entries.extend(planned.entries.clone());
        all.jwks_uris.extend(planned.jwks_uris.clone());
        all
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// Something is about to be written.
    Intend {
        gateway_id: Uuid,
        api_id: String,
        /// Whose tokens the API takes; none: nobody's any more.
        identity_provider_id: Option<Uuid>,
        /// In addition to what is owned already.
        owned: Owned,
    },
    /// It was written, and this is all that is owned now.
    Settle { owned: Owned },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum Event {
    Intended {
        gateway_id: Uuid,
        api_id: String,
        identity_provider_id: Option<Uuid>,
        /// All of it, that of before included.
        owned: Owned,
    },
    Settled {
        owned: Owned,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("nothing was intended at this API")]
    NothingIntended,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ApiMapping {
    began: bool,
    settled: bool,
    identity_provider_id: Option<Uuid>,
    owned: Owned,
}

impl ApiMapping {
    /// The id of the stream of one API.
    pub(crate) fn id(gateway_id: Uuid, api_id: &str) -> Uuid {
        Uuid::new_v5(&gateway_id, api_id.as_bytes())
    }
}

impl Aggregate for ApiMapping {
    const CATEGORY: &'static str = "api_mapping";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Intend {
                gateway_id,
                api_id,
                identity_provider_id,
                owned,
            } => {
                let owned = self.owned.with(owned);
                if owned == self.owned && *identity_provider_id == self.identity_provider_id {
                    return Ok(Vec::new());
                }
                Ok(vec![Event::Intended {
                    gateway_id: *gateway_id,
                    api_id: api_id.clone(),
                    identity_provider_id: *identity_provider_id,
                    owned,
                }])
            }
            Command::Settle { owned } if self.settled && *owned == self.owned => Ok(Vec::new()),
            // An API that had everything wanted from others is nothing to record.
            Command::Settle { owned } if !self.began && *owned == Owned::default() => {
                Ok(Vec::new())
            }
            Command::Settle { .. } if !self.began => Err(Rejection::NothingIntended),
            Command::Settle { owned } => Ok(vec![Event::Settled {
                owned: owned.clone(),
            }]),
        }
    }

    fn evolve(&mut self, event: &Event) {
        self.began = true;
        match event {
            Event::Intended {
                identity_provider_id,
                owned,
                ..
            } => {
                self.settled = false;
                self.identity_provider_id = *identity_provider_id;
                self.owned = owned.clone();
            }
            Event::Settled { owned } => {
                self.settled = true;
                self.owned = owned.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_eventstore::testing::given;

    use super::*;

    fn owned(scopes: &[&str]) -> Owned {
        Owned {
            entries: scopes
                .iter()
                .map(|scope| ((*scope).to_owned(), "policy".to_owned()))
                .collect(),
            ..Owned::default()
        }
    }

    fn intend(scopes: &[&str]) -> Command {
        Command::Intend {
            gateway_id: Uuid::nil(),
            api_id: "pay".into(),
            identity_provider_id: Some(Uuid::from_u128(1)),
            owned: owned(scopes),
        }
    }

    fn intended(scopes: &[&str]) -> Event {
        Event::Intended {
            gateway_id: Uuid::nil(),
            api_id: "pay".into(),
            identity_provider_id: Some(Uuid::from_u128(1)),
            owned: owned(scopes),
        }
    }

    fn settle(scopes: &[&str]) -> Command {
        Command::Settle {
            owned: owned(scopes),
        }
    }

    fn settled(scopes: &[&str]) -> Event {
        Event::Settled {
            owned: owned(scopes),
        }
    }

    #[test]
    fn an_intent_only_adds_and_settling_says_all() {
        given::<ApiMapping>([])
            .when(&intend(&["a"]))
            .then([intended(&["a"])]);
        given::<ApiMapping>([intended(&["a"]), settled(&["a"])])
            .when(&intend(&["b"]))
            .then([intended(&["a", "b"])]);
        given::<ApiMapping>([intended(&["a", "b"])])
            .when(&settle(&["b"]))
            .then([settled(&["b"])]);
    }

    #[test]
    fn what_is_known_is_not_recorded_again() {
        given::<ApiMapping>([intended(&["a"])])
            .when(&intend(&["a"]))
            .then_nothing();
        given::<ApiMapping>([intended(&["a"]), settled(&["a"])])
            .when(&settle(&["a"]))
            .then_nothing();
        given::<ApiMapping>([]).when(&settle(&[])).then_nothing();
    }

    #[test]
    fn nothing_is_owned_without_an_intent() {
        let refused = given::<ApiMapping>([]).when(&settle(&["a"])).then_refused();
        assert_eq!(refused, Rejection::NothingIntended);
    }
}
