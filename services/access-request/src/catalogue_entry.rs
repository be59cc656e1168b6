//! The newest that is known of a product or plan, whether it is granted to anybody yet or not: an approval that races
//! with a change of the catalogue finds it here.
#![deny(clippy::wildcard_enum_match_arm)]

use std::convert::Infallible;

use portico_eventstore::Aggregate;
use serde::{Deserialize, Serialize};

use crate::terms::CatalogueChange;

/// A product or plan of the catalogue; the stream's id is its id.
#[derive(Debug, Clone, Default)]
pub(crate) struct CatalogueEntry {
    /// None as long as no change was seen.
    pub(crate) newest: Option<CatalogueChange>,
}

/// The catalogue published a change.
#[derive(Debug, Clone)]
pub(crate) struct Note(pub(crate) CatalogueChange);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum Event {
    /// It was newer than what was known.
    Noted(CatalogueChange),
}

impl Aggregate for CatalogueEntry {
    const CATEGORY: &'static str = "catalogue_entry";
    type Command = Note;
    type Event = Event;
    type Rejection = Infallible;

    fn decide(&self, Note(change): &Note) -> Result<Vec<Event>, Infallible> {
        let newer = self
            .newest
            .as_ref()
            .is_none_or(|known| change.version() > known.version());
        let event = newer.then(|| Event::Noted(change.clone()));
        Ok(event.into_iter().collect())
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Noted(change) => self.newest = Some(change.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_eventstore::testing::given;
    use uuid::Uuid;

    use super::*;
    use crate::terms::Product;

    fn product(version: u64) -> CatalogueChange {
        CatalogueChange::Product(Product {
            version,
            ..Product::default()
        })
    }

    #[test]
    fn only_what_is_newer_is_noted_and_nothing_after_a_deletion() {
        let deleted = CatalogueChange::ProductDeleted {
            product_id: Uuid::nil(),
        };
        given::<CatalogueEntry>([])
            .when(&Note(product(3)))
            .then([Event::Noted(product(3))]);
        for late in [2, 3] {
            given::<CatalogueEntry>([Event::Noted(product(3))])
                .when(&Note(product(late)))
                .then_nothing();
        }
        given::<CatalogueEntry>([Event::Noted(product(3))])
            .when(&Note(deleted.clone()))
            .then([Event::Noted(deleted.clone())]);
        given::<CatalogueEntry>([Event::Noted(deleted)])
            .when(&Note(product(4)))
            .then_nothing();
    }
}
