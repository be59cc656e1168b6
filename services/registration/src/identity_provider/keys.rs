//! The signing keys that a provider was seen with last. A stream of its own, so that rotated keys leave the version
//! of the provider's settings alone.

use std::convert::Infallible;

use portico_eventstore::Aggregate;
use serde::{Deserialize, Serialize};

/// What was seen last; none as long as nothing was.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProviderKeys {
    seen: Option<Seen>,
}

/// A key set (RFC 7517 section 5) at its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// `jwks_uri` of the provider.
    pub jwks_uri: String,
    /// Of all keys as a whole: an id may stay when its key is replaced.
    pub digest: String,
}

/// The key set as it is now.
#[derive(Debug, Clone)]
pub(crate) struct NoteKeys(pub(crate) Seen);

/// Changes of a provider's key set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// The first look, or the first one at a new address, of which others hear by the provider's settings.
    Noted(Seen),
    /// Other keys are served at the same address.
    Changed(Seen),
}

impl Aggregate for ProviderKeys {
    const CATEGORY: &'static str = "identity_provider_keys";
    type Command = NoteKeys;
    type Event = Event;
    type Rejection = Infallible;

    fn decide(&self, NoteKeys(seen): &NoteKeys) -> Result<Vec<Event>, Infallible> {
        Ok(match &self.seen {
            Some(known) if known == seen => Vec::new(),
            Some(known) if known.jwks_uri == seen.jwks_uri => vec![Event::Changed(seen.clone())],
            Some(_) | None => vec![Event::Noted(seen.clone())],
        })
    }

    #[deny(clippy::wildcard_enum_match_arm)]
    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Noted(seen) | Event::Changed(seen) => self.seen = Some(seen.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_eventstore::testing::given;

    use super::*;

    fn seen(jwks_uri: &str, digest: &str) -> Seen {
        Seen {
            jwks_uri: jwks_uri.into(),
            digest: digest.into(),
        }
    }

    #[test]
    fn other_keys_at_the_same_address_are_a_change() {
        let first = Event::Noted(seen("a", "1"));
        given::<ProviderKeys>([])
            .when(&NoteKeys(seen("a", "1")))
            .then([first.clone()]);
        given::<ProviderKeys>([first.clone()])
            .when(&NoteKeys(seen("a", "1")))
            .then_nothing();
        given::<ProviderKeys>([first.clone()])
            .when(&NoteKeys(seen("a", "2")))
            .then([Event::Changed(seen("a", "2"))]);
        given::<ProviderKeys>([first])
            .when(&NoteKeys(seen("b", "2")))
            .then([Event::Noted(seen("b", "2"))]);
    }
}
