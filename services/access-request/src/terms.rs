//! What the catalogue says of a product and a plan, and how granted access follows it. Pure.

use std::collections::BTreeSet;

use portico_eventstore::{Fact, Newest};
use portico_proto::catalog::v1 as catalog;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A product as the catalogue had it at one version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Id of the product in the catalogue.
    pub product_id: Uuid,
    /// Of the product's stream; 0: unknown. Nothing comes after a deletion, whose version is the highest.
    pub version: u64,
    /// Display name.
    pub name: String,
    /// RFC 6749 section 3.3.
    pub scopes: BTreeSet<String>,
    /// An existing gateway policy; none: the gateway service creates one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_id: Option<String>,
    /// Where the product is served.
    pub apis: Vec<Api>,
}

/// A plan as the catalogue had it at one version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Id of the plan in the catalogue.
    pub plan_id: Uuid,
    /// Of the plan's stream; 0: unknown.
    pub version: u64,
    /// Display name.
    pub name: String,
    /// RFC 6749 section 3.3.
    pub scopes: BTreeSet<String>,
    /// An existing gateway policy; none: the gateway service creates one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_id: Option<String>,
    /// None: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Limit>,
    /// None: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Limit>,
}

/// An API at a gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Api {
    /// The gateway's id of it.
    pub api_id: String,
    /// Display name.
    pub name: String,
    /// Where developers call it, or empty.
    pub url: String,
    /// Portico's id of the gateway; none: there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_id: Option<String>,
}

/// So many requests in so many seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// At least 1.
    pub requests: u64,
    /// The rate's window or the quota's renewal.
    pub seconds: u64,
}

/// A product under a plan, as it is granted. Each of the two is wholly of its version, so that the gateway, which
/// follows limits and APIs by itself, can tell which of two versions it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovedItem {
    /// The granted product.
    pub product: Product,
    /// The plan whose limits apply.
    pub plan: Plan,
}

impl ApprovedItem {
    /// The item under newer terms; `None` where these are older, about something else, or leave the scopes alone:
    /// everything but scopes is the gateway's to follow.
    pub(crate) fn with_scopes_of(&self, change: &CatalogueChange) -> Option<Self> {
        let mut item = self.clone();
        match change {
            CatalogueChange::Product(product)
                if product.product_id == self.product.product_id
                    && product.version > self.product.version =>
            {
                item.product = product.clone();
            }
            CatalogueChange::ProductDeleted { product_id }
                if *product_id == self.product.product_id =>
            {
                // Its scopes may be another product's from now on.
                item.product = Product {
                    product_id: *product_id,
                    version: u64::MAX,
                    name: self.product.name.clone(),
                    ..Product::default()
                };
            }
            CatalogueChange::Plan(plan)
                if plan.plan_id == self.plan.plan_id && plan.version > self.plan.version =>
            {
                item.plan = plan.clone();
            }
            CatalogueChange::Product(_)
            | CatalogueChange::ProductDeleted { .. }
            | CatalogueChange::Plan(_) => return None,
        }
        let same =
            item.product.scopes == self.product.scopes && item.plan.scopes == self.plan.scopes;
        (!same).then_some(item)
    }
}

/// The catalogue has a product or plan otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum CatalogueChange {
    /// The product as it is now.
    Product(Product),
    /// The plan as it is now.
    Plan(Plan),
    /// The product opens nothing any more.
    ProductDeleted {
        /// Id of the product in the catalogue.
        product_id: Uuid,
    },
}

/// The newest that is known of a product or plan, whether it is granted to anybody yet or not: an approval that races
/// with a change of the catalogue finds it here.
pub(crate) type CatalogueEntry = Newest<CatalogueChange>;

impl Fact for CatalogueChange {
    const CATEGORY: &'static str = "catalogue_entry";

    fn is_newer_than(&self, known: &Self) -> bool {
        self.version() > known.version()
    }
}

impl CatalogueChange {
    /// The id of the product or plan.
    pub fn subject(&self) -> Uuid {
        match self {
            Self::Product(product) => product.product_id,
            Self::Plan(plan) => plan.plan_id,
            Self::ProductDeleted { product_id } => *product_id,
        }
    }

    /// Version of the product's or plan's stream at the catalogue.
    pub fn version(&self) -> u64 {
        match self {
            Self::Product(product) => product.version,
            Self::Plan(plan) => plan.version,
            Self::ProductDeleted { .. } => u64::MAX,
        }
    }
}

impl Product {
    /// From the catalogue's answer about the product of this id.
    pub(crate) fn read(product_id: Uuid, product: catalog::Product) -> Self {
        let api = |api: catalog::Api| {
            let mapping = api.mapping.unwrap_or_default();
            Api {
                api_id: mapping.api_id,
                name: api.name,
                url: api.url,
                gateway_id: mapping.gateway_id,
            }
        };
        Self {
            product_id,
            version: product.version,
            name: product.name,
            scopes: product.scopes.into_iter().collect(),
            policy_id: product.mapping.and_then(|at| at.policy_id),
            apis: product.apis.into_iter().map(api).collect(),
        }
    }
}

impl Plan {
    /// From the catalogue's answer about the plan of this id.
    pub(crate) fn read(plan_id: Uuid, plan: catalog::Plan) -> Self {
        Self {
            plan_id,
            version: plan.version,
            name: plan.name,
            scopes: plan.scopes.into_iter().collect(),
            policy_id: plan.mapping.and_then(|at| at.policy_id),
            rate: plan.rate.map(|rate| Limit {
                requests: rate.requests,
                seconds: rate.per_seconds,
            }),
            quota: plan.quota.map(|quota| Limit {
                requests: quota.requests,
                seconds: quota.renews_every_seconds,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_newer_than_a_deletion() {
        let product = |version| {
            CatalogueChange::Product(Product {
                version,
                ..Product::default()
            })
        };
        let deleted = CatalogueChange::ProductDeleted {
            product_id: Uuid::nil(),
        };
        assert!(product(4).is_newer_than(&product(3)));
        assert!(deleted.is_newer_than(&product(4)));
        assert!(!product(5).is_newer_than(&deleted));
    }
}
