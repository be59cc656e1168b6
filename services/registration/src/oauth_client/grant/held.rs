//! The scopes that a client may hold at its provider. The gateway gives a scope to another product only once nobody
//! may hold it from the former one, so this errs on the side of what may be there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Event;
use crate::oauth_client::state::{Link, OauthClient};

/// Complete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldScopes {
    /// Sorted.
    pub scopes: BTreeSet<String>,
    /// The highest revision of each request that this takes into account, also of requests that are over.
    pub answered: BTreeMap<Uuid, u64>,
}

impl OauthClient {
    /// Said whenever it is something else than was said last, of a client whose application is known.
    pub(in crate::oauth_client) fn due_scopes(&self) -> Option<crate::oauth_client::Event> {
        let held = self.held_now();
        (held != self.held && !self.application_id.is_nil()).then(|| Event::ScopesHeld(held).into())
    }

    fn held_now(&self) -> HeldScopes {
        let living = self.grants.iter().map(|(id, grant)| (*id, grant.revision));
        let ended = self.ended.iter().map(|(id, revision)| (*id, *revision));
        HeldScopes {
            scopes: self.scopes_held(),
            answered: living.chain(ended).collect(),
        }
    }

    fn scopes_held(&self) -> BTreeSet<String> {
        // From now on: what is granted may be given at any moment.
        let wanted = self.grants.values().filter(|grant| {
            grant.is_granted() && !self.application.suspended && grant.failure().is_none()
        });
        let mut held: BTreeSet<String> = wanted.flat_map(|grant| grant.scopes.clone()).collect();
        match &self.link {
            Link::None => {}
            Link::Intended(intended) => held.extend(intended.client.scopes.iter().cloned()),
            Link::Live(live) => {
                held.extend(live.own_scopes());
                // What the provider itself says that the client has.
                held.extend(live.answer.granted.scopes().unwrap_or_default());
            }
        }
        let open = self.orphans.values().filter(|one| one.resolution.is_none());
        held.extend(open.flat_map(|orphan| orphan.scopes.iter().cloned()));
        held
    }
}
