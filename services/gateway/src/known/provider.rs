//! What gateways need of an identity provider, and what they have yet to follow.

use std::convert::Infallible;

use jiff::Timestamp;
use portico_eventstore::Aggregate;
use serde::{Deserialize, Serialize};

/// As registration publishes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Provider {
    /// Of its stream: the highest is the newest.
    pub(crate) version: u64,
    pub(crate) name: String,
    /// OpenID Connect Discovery section 3.
    pub(crate) issuer: String,
    /// None: a gateway cannot check its tokens.
    pub(crate) jwks_uri: Option<String>,
    /// The claim of an access token that holds its scopes.
    pub(crate) scope_claim: String,
}

#[derive(Debug, Clone)]
pub(crate) enum ProviderCommand {
    Note(Provider),
    Delete,
    /// It serves other keys at its `jwks_uri`.
    ChangeKeys,
    /// All gateways know what was asked for up to this count.
    CompleteFollow {
        asked: u64,
    },
    /// A gateway could not be told.
    Delay {
        next_try_at: Timestamp,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum ProviderEvent {
    Noted(Provider),
    Deleted,
    KeysChanged,
    Followed { asked: u64 },
    Delayed { next_try_at: Timestamp },
}

/// The newest that is known of an identity provider.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct KnownProvider {
    pub(crate) newest: Option<Provider>,
    pub(crate) deleted: bool,
    /// Counts changes that gateways have to follow, and those that they have followed.
    pub(crate) asked: u64,
    followed: u64,
    /// Failed tries in a row, and when the next one is.
    pub(crate) attempts: u32,
    next_try_at: Option<Timestamp>,
}

impl KnownProvider {
    /// When gateways are to be told something; none: there is nothing to tell.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let at = self.next_try_at.unwrap_or(Timestamp::UNIX_EPOCH);
        (self.asked > self.followed).then_some(at)
    }

    fn is_news(&self, said: &Provider) -> bool {
        let known = self.newest.as_ref();
        !self.deleted && known.is_none_or(|known| said.version > known.version)
    }

    fn ask(&mut self) {
        self.asked += 1;
        self.attempts = 0;
        self.next_try_at = None;
    }
}

impl Aggregate for KnownProvider {
    const CATEGORY: &'static str = "identity_provider";
    type Command = ProviderCommand;
    type Event = ProviderEvent;
    type Rejection = Infallible;

    fn decide(&self, command: &ProviderCommand) -> Result<Vec<ProviderEvent>, Infallible> {
        let event = match command {
            ProviderCommand::Note(said) => self
                .is_news(said)
                .then(|| ProviderEvent::Noted(said.clone())),
            ProviderCommand::Delete => (!self.deleted).then_some(ProviderEvent::Deleted),
            ProviderCommand::ChangeKeys => (!self.deleted).then_some(ProviderEvent::KeysChanged),
            ProviderCommand::CompleteFollow { asked } => {
                (*asked > self.followed).then_some(ProviderEvent::Followed { asked: *asked })
            }
            ProviderCommand::Delay { next_try_at } => {
                self.due().is_some().then_some(ProviderEvent::Delayed {
                    next_try_at: *next_try_at,
                })
            }
        };
        Ok(event.into_iter().collect())
    }

    fn evolve(&mut self, event: &ProviderEvent) {
        match event {
            ProviderEvent::Noted(said) => {
                let where_and_how =
                    |one: &Provider| (one.jwks_uri.clone(), one.scope_claim.clone());
                let before = self.newest.as_ref().map(where_and_how);
                // Of a provider that is new nothing is written anywhere.
                if before.is_some_and(|before| before != where_and_how(said)) {
                    self.ask();
                }
                self.newest = Some(said.clone());
            }
            ProviderEvent::Deleted => self.deleted = true,
            ProviderEvent::KeysChanged => self.ask(),
            ProviderEvent::Followed { asked } => {
                self.followed = *asked;
                self.attempts = 0;
                self.next_try_at = None;
            }
            ProviderEvent::Delayed { next_try_at } => {
                self.attempts += 1;
                self.next_try_at = Some(*next_try_at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_eventstore::testing::given;

    use super::*;

    fn provider(version: u64, jwks_uri: &str) -> Provider {
        Provider {
            version,
            name: "Login".into(),
            issuer: "https://id.example".into(),
            jwks_uri: Some(jwks_uri.into()),
            scope_claim: "scope".into(),
        }
    }

    #[test]
    fn gateways_follow_keys_and_addresses_until_they_know() {
        let noted = ProviderEvent::Noted(provider(1, "a"));
        given::<KnownProvider>([])
            .when(&ProviderCommand::Note(provider(1, "a")))
            .then([noted.clone()]);
        let due = |events: Vec<ProviderEvent>| given::<KnownProvider>(events).state().due();
        assert_eq!(due(vec![noted.clone()]), None);
        for change in [
            ProviderEvent::KeysChanged,
            ProviderEvent::Noted(provider(2, "b")),
        ] {
            let asked = vec![noted.clone(), change];
            assert!(due(asked.clone()).is_some());
            given::<KnownProvider>(asked.clone())
                .when(&ProviderCommand::CompleteFollow { asked: 1 })
                .then([ProviderEvent::Followed { asked: 1 }]);
            let delayed = ProviderEvent::Delayed {
                next_try_at: Timestamp::MAX,
            };
            let waiting = [asked.clone(), vec![delayed]].concat();
            assert_eq!(due(waiting), Some(Timestamp::MAX));
            let followed = [asked, vec![ProviderEvent::Followed { asked: 1 }]].concat();
            assert_eq!(due(followed), None);
        }
    }

    #[test]
    fn only_the_newest_counts_and_nothing_after_a_deletion() {
        let noted = ProviderEvent::Noted(provider(3, "a"));
        given::<KnownProvider>([noted.clone()])
            .when(&ProviderCommand::Note(provider(2, "b")))
            .then_nothing();
        for command in [
            ProviderCommand::Note(provider(9, "b")),
            ProviderCommand::ChangeKeys,
            ProviderCommand::Delete,
        ] {
            given::<KnownProvider>([noted.clone(), ProviderEvent::Deleted])
                .when(&command)
                .then_nothing();
        }
    }
}
