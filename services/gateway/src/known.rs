//! What other services said of things that an entitlement depends on. Messages come in any order, and may come before
//! the first approval that they concern: the newest fact is kept, and looked up when the approval comes.
//!
//! - [`KnownApplication`], [`KnownEntry`]: applications; products and plans
//! - [`KnownClient`]: the scopes that an OAuth client may hold
//! - [`KnownProvider`]: identity providers, whose changed keys and addresses gateways follow

#![deny(clippy::wildcard_enum_match_arm)]

mod provider;

pub(crate) use provider::{KnownProvider, Provider, ProviderCommand};

use std::collections::{BTreeMap, BTreeSet};

use portico_eventstore::{Fact, Newest};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::item::CatalogueChange;

/// The newest that is known of an application.
pub(crate) type KnownApplication = Newest<Application>;
/// The newest that is known of a product or a plan.
pub(crate) type KnownEntry = Newest<CatalogueChange>;
/// The newest that is known of an OAuth client; none: registration has said nothing yet, so anything may be held.
pub(crate) type KnownClient = Newest<ClientScopes>;

/// What is followed of an application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Application {
    /// An admin has stopped it for a time.
    pub(crate) suspended: bool,
    /// Position in the log of the access-request service: the highest is the newest.
    pub(crate) as_of: i64,
}

/// The scopes that an OAuth client may hold at its identity provider, by its orphans and by updates without an outcome
/// too, as registration reports them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClientScopes {
    pub(crate) scopes: BTreeSet<String>,
    /// The highest revision of each request that this takes into account.
    pub(crate) answered: BTreeMap<Uuid, u64>,
    /// Position in the log of the registration service: the highest is the newest.
    pub(crate) as_of: i64,
}

impl ClientScopes {
    /// The stream of an application's client at an identity provider.
    pub(crate) fn id(application_id: Uuid, identity_provider_id: Uuid) -> Uuid {
        Uuid::new_v5(&application_id, identity_provider_id.as_bytes())
    }
}

impl Fact for Application {
    const CATEGORY: &'static str = "application";

    fn is_newer_than(&self, known: &Self) -> bool {
        self.as_of > known.as_of
    }
}

impl Fact for ClientScopes {
    const CATEGORY: &'static str = "client_scopes";

    fn is_newer_than(&self, known: &Self) -> bool {
        self.as_of > known.as_of
    }
}

impl Fact for CatalogueChange {
    const CATEGORY: &'static str = "catalogue_entry";

    fn is_newer_than(&self, known: &Self) -> bool {
        self.version() > known.version()
    }
}
