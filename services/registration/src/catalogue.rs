//! What is known here of a product or a plan. Its change may come before the approval of an access request that
//! has it as it was before; so the newest is kept, whether something of it is granted yet or not.

use std::convert::Infallible;

use portico_eventstore::Aggregate;
use portico_proto::catalog::v1 as api;
use serde::{Deserialize, Serialize};

use crate::granted::{Api, CatalogueChange, PlanChange, ProductChange, Quota, Rate};

/// The newest that is known; none as long as nothing is.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownEntry {
    pub(crate) newest: Option<CatalogueChange>,
}

/// The catalog service says how it is.
#[derive(Debug, Clone)]
pub(crate) struct Note(pub(crate) CatalogueChange);

/// What was noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum Event {
    /// It is newer than what was known.
    Noted(CatalogueChange),
}

impl Aggregate for KnownEntry {
    const CATEGORY: &'static str = "catalogue_entry";
    type Command = Note;
    type Event = Event;
    type Rejection = Infallible;

    fn decide(&self, Note(change): &Note) -> Result<Vec<Event>, Infallible> {
        let newer = self
            .newest
            .as_ref()
            .is_none_or(|known| change.version() > known.version());
        Ok(newer
            .then(|| Event::Noted(change.clone()))
            .into_iter()
            .collect())
    }

    fn evolve(&mut self, Event::Noted(change): &Event) {
        self.newest = Some(change.clone());
    }
}

impl From<api::Product> for ProductChange {
    fn from(product: api::Product) -> Self {
        let api = |api: api::Api| Api {
            api_id: api.api_id,
            name: api.name,
            url: api.url,
            gateway_id: api.gateway_id.unwrap_or_default(),
        };
        Self {
            product_id: product.id,
            version: product.version,
            name: product.name,
            scopes: product.scopes.into_iter().collect(),
            policy_id: product.policy_id.unwrap_or_default(),
            apis: product.apis.into_iter().map(api).collect(),
        }
    }
}

impl From<api::Plan> for PlanChange {
    fn from(plan: api::Plan) -> Self {
        Self {
            plan_id: plan.id,
            version: plan.version,
            name: plan.name,
            scopes: plan.scopes.into_iter().collect(),
            policy_id: plan.policy_id.unwrap_or_default(),
            rate: plan.rate.map(|rate| Rate {
                requests: rate.requests,
                per_seconds: rate.per_seconds,
            }),
            quota: plan.quota.map(|quota| Quota {
                requests: quota.requests,
                renews_every_seconds: quota.renews_every_seconds,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_eventstore::testing::given;

    use super::*;

    fn product(version: u64) -> CatalogueChange {
        CatalogueChange::Product(ProductChange {
            product_id: "p".into(),
            version,
            ..ProductChange::default()
        })
    }

    #[test]
    fn only_what_is_newer_is_noted_and_nothing_after_a_deletion() {
        let deleted = CatalogueChange::ProductDeleted {
            product_id: "p".into(),
        };
        given::<KnownEntry>([])
            .when(&Note(product(3)))
            .then([Event::Noted(product(3))]);
        for late in [2, 3] {
            given::<KnownEntry>([Event::Noted(product(3))])
                .when(&Note(product(late)))
                .then_nothing();
        }
        given::<KnownEntry>([Event::Noted(product(3))])
            .when(&Note(deleted.clone()))
            .then([Event::Noted(deleted.clone())]);
        given::<KnownEntry>([Event::Noted(deleted)])
            .when(&Note(product(4)))
            .then_nothing();
    }
}
