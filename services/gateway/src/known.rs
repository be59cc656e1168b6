//! What other services said of things that an entitlement depends on. Messages come in any order, and may come before
//! the first approval that they concern: the newest fact is kept, and looked up when the approval comes.
//!
//! - [`KnownApplication`], [`KnownEntry`]: applications; products and plans
//! - [`KnownProvider`]: identity providers, whose changed keys and addresses gateways follow
//! - [`KnownClient`]: the scopes that an OAuth client may hold

#![deny(clippy::wildcard_enum_match_arm)]

mod client;
mod provider;

pub(crate) use client::{ClientScopes, KnownClient};
pub(crate) use provider::{KnownProvider, Provider, ProviderCommand};

use std::convert::Infallible;

use portico_eventstore::Aggregate;
use serde::{Deserialize, Serialize};

use crate::item::CatalogueChange;

/// What is followed of an application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Application {
    pub(crate) name: String,
    /// An admin has stopped it for a time.
    pub(crate) suspended: bool,
    /// Position in the log of the access-request service: the highest is the newest.
    pub(crate) as_of: i64,
}

/// A newer fact than the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum Noted<T> {
    Noted(T),
}

/// The newest that is known of an application; none as long as nothing is.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownApplication {
    pub(crate) newest: Option<Application>,
}

impl Aggregate for KnownApplication {
    const CATEGORY: &'static str = "application";
    type Command = Application;
    type Event = Noted<Application>;
    type Rejection = Infallible;

    fn decide(&self, said: &Application) -> Result<Vec<Self::Event>, Infallible> {
        let known = self.newest.as_ref();
        let newer = known.is_none_or(|known| said.as_of > known.as_of);
        Ok(newer
            .then(|| Noted::Noted(said.clone()))
            .into_iter()
            .collect())
    }

    fn evolve(&mut self, Noted::Noted(application): &Self::Event) {
        self.newest = Some(application.clone());
    }
}

/// The newest that is known of a product or a plan; none as long as nothing is.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownEntry {
    pub(crate) newest: Option<CatalogueChange>,
}

impl Aggregate for KnownEntry {
    const CATEGORY: &'static str = "catalogue_entry";
    type Command = CatalogueChange;
    type Event = Noted<CatalogueChange>;
    type Rejection = Infallible;

    fn decide(&self, said: &CatalogueChange) -> Result<Vec<Self::Event>, Infallible> {
        let known = self.newest.as_ref();
        let newer = known.is_none_or(|known| said.version() > known.version());
        Ok(newer
            .then(|| Noted::Noted(said.clone()))
            .into_iter()
            .collect())
    }

    fn evolve(&mut self, Noted::Noted(change): &Self::Event) {
        self.newest = Some(change.clone());
    }
}

#[cfg(test)]
mod tests {
    use portico_eventstore::testing::given;

    use super::*;
    use crate::item::Product;

    #[test]
    fn only_what_is_newer_is_noted() {
        let application = |name: &str, as_of| Application {
            name: name.into(),
            as_of,
            suspended: false,
        };
        let noted = Noted::Noted(application("b", 7));
        given::<KnownApplication>([])
            .when(&application("b", 7))
            .then([noted.clone()]);
        for late in [3, 7] {
            given::<KnownApplication>([noted.clone()])
                .when(&application("a", late))
                .then_nothing();
        }
    }

    #[test]
    fn nothing_comes_after_a_deletion() {
        let product = |version| {
            CatalogueChange::Product(Product {
                id: "p".into(),
                version,
                ..Product::default()
            })
        };
        let deleted = CatalogueChange::ProductDeleted {
            product_id: "p".into(),
        };
        given::<KnownEntry>([Noted::Noted(product(3))])
            .when(&product(2))
            .then_nothing();
        given::<KnownEntry>([Noted::Noted(product(3))])
            .when(&deleted)
            .then([Noted::Noted(deleted.clone())]);
        given::<KnownEntry>([Noted::Noted(deleted)])
            .when(&product(4))
            .then_nothing();
    }
}
