//! The scopes that an OAuth client may hold at its identity provider, as registration reports them.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use portico_eventstore::Aggregate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Noted;

/// What registration says of the client, its orphans and updates without an outcome included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClientScopes {
    pub(crate) scopes: BTreeSet<String>,
    /// The highest revision of each request that this takes into account.
    pub(crate) answered: BTreeMap<Uuid, u64>,
    /// Position in the log of the registration service: the highest is the newest.
    pub(crate) as_of: i64,
}

/// The newest that is known; none: registration has said nothing yet, so anything may be held.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownClient {
    pub(crate) newest: Option<ClientScopes>,
}

impl KnownClient {
    /// The client of an application at an identity provider.
    pub(crate) fn id(application_id: Uuid, identity_provider_id: Uuid) -> Uuid {
        Uuid::new_v5(&application_id, identity_provider_id.as_bytes())
    }
}

impl Aggregate for KnownClient {
    const CATEGORY: &'static str = "client_scopes";
    type Command = ClientScopes;
    type Event = Noted<ClientScopes>;
    type Rejection = Infallible;

    fn decide(&self, said: &ClientScopes) -> Result<Vec<Self::Event>, Infallible> {
        let known = self.newest.as_ref();
        let newer = known.is_none_or(|known| said.as_of > known.as_of);
        Ok(newer
            .then(|| Noted::Noted(said.clone()))
            .into_iter()
            .collect())
    }

    fn evolve(&mut self, Noted::Noted(scopes): &Self::Event) {
        self.newest = Some(scopes.clone());
    }
}
