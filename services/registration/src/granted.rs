//! What is granted, to OAuth clients and API keys alike: products under plans, as they were at the approval, and what
//! becomes of them when the catalogue changes. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A product under a plan, as it was when the request was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Of the catalogue.
    pub product_id: String,
    /// For people.
    pub product_name: String,
    /// RFC 6749 section 3.3.
    pub product_scopes: BTreeSet<String>,
    /// An existing policy at the gateway; empty: Portico makes one.
    pub product_policy_id: String,
    /// Where the product is served.
    pub apis: Vec<Api>,
    /// Of the catalogue.
    pub plan_id: String,
    /// For people.
    pub plan_name: String,
    /// RFC 6749 section 3.3.
    pub plan_scopes: BTreeSet<String>,
    /// As `product_policy_id`.
    pub plan_policy_id: String,
    /// None: no limit.
    pub rate: Option<Rate>,
    /// None: no limit.
    pub quota: Option<Quota>,
    /// What the catalogue said of the product up to this version of it; 0: not known.
    #[serde(default)]
    pub product_version: u64,
    /// As `product_version`.
    #[serde(default)]
    pub plan_version: u64,
}

/// An API behind a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Api {
    /// Its id at the gateway.
    pub api_id: String,
    /// For people.
    pub name: String,
    /// Where it is called.
    pub url: String,
    /// May be empty where there is one gateway.
    pub gateway_id: String,
}

/// Requests in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many.
    pub requests: u64,
    /// In how long.
    pub per_seconds: u64,
}

/// Requests until the renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// How many.
    pub requests: u64,
    /// How long until all are there again.
    pub renews_every_seconds: u64,
}

/// What is followed of an application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// For people.
    pub name: String,
    /// Already checked: exact, absolute, without fragment or wildcard.
    pub redirect_urls: Vec<String>,
    /// Position in the log of the access-request service. Messages come in any order; the highest is the newest.
    pub as_of: i64,
    /// An admin has stopped it for a time.
    #[serde(default)]
    pub suspended: bool,
}

/// What the catalogue says of a product or a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum CatalogueChange {
    /// A product, as it is now.
    Product(ProductChange),
    /// A plan, as it is now.
    Plan(PlanChange),
    /// The product is gone: its scopes may be another's, and open nothing here any more.
    ProductDeleted {
        /// Which one.
        product_id: String,
    },
}

/// A product as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductChange {
    /// Of the catalogue.
    pub product_id: String,
    /// Of its stream: the highest is the newest.
    pub version: u64,
    /// For people.
    pub name: String,
    /// RFC 6749 section 3.3.
    pub scopes: BTreeSet<String>,
    /// An existing policy at the gateway; empty: Portico makes one.
    pub policy_id: String,
    /// Where the product is served.
    pub apis: Vec<Api>,
}

/// A plan as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanChange {
    /// Of the catalogue.
    pub plan_id: String,
    /// Of its stream: the highest is the newest.
    pub version: u64,
    /// For people.
    pub name: String,
    /// RFC 6749 section 3.3.
    pub scopes: BTreeSet<String>,
    /// An existing policy at the gateway; empty: Portico makes one.
    pub policy_id: String,
    /// None: no limit.
    pub rate: Option<Rate>,
    /// None: no limit.
    pub quota: Option<Quota>,
}

impl CatalogueChange {
    /// The product or plan that it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Product(product) => &product.product_id,
            Self::Plan(plan) => &plan.plan_id,
            Self::ProductDeleted { product_id } => product_id,
        }
    }

    /// Of its stream. Nothing comes after a deletion.
    #[must_use]
    pub fn version(&self) -> u64 {
        match self {
            Self::Product(product) => product.version,
            Self::Plan(plan) => plan.version,
            Self::ProductDeleted { .. } => u64::MAX,
        }
    }

    pub(crate) fn is_about(&self, item: &Item) -> bool {
        match self {
            Self::Product(product) => product.product_id == item.product_id,
            Self::ProductDeleted { product_id } => *product_id == item.product_id,
            Self::Plan(plan) => plan.plan_id == item.plan_id,
        }
    }

    /// The item as it is after the change; `None` where it is so already, or newer.
    pub(crate) fn applied_to(&self, item: &Item) -> Option<Item> {
        let known = match self {
            Self::Plan(_) => item.plan_version,
            Self::Product(_) | Self::ProductDeleted { .. } => item.product_version,
        };
        if !self.is_about(item) || self.version() <= known {
            return None;
        }
        let mut changed = item.clone();
        match self {
            Self::Product(product) => {
                changed.product_name.clone_from(&product.name);
                changed.product_scopes.clone_from(&product.scopes);
                changed.product_policy_id.clone_from(&product.policy_id);
                changed.apis.clone_from(&product.apis);
            }
            Self::Plan(plan) => {
                changed.plan_name.clone_from(&plan.name);
                changed.plan_scopes.clone_from(&plan.scopes);
                changed.plan_policy_id.clone_from(&plan.policy_id);
                changed.rate = plan.rate;
                changed.quota = plan.quota;
            }
            Self::ProductDeleted { .. } => {
                changed.product_scopes.clear();
                changed.product_policy_id.clear();
                changed.apis.clear();
            }
        }
        if changed == *item {
            return None;
        }
        match self {
            Self::Plan(plan) => changed.plan_version = plan.version,
            Self::Product(_) | Self::ProductDeleted { .. } => {
                changed.product_version = self.version();
            }
        }
        Some(changed)
    }
}
