//! What a client follows of the catalogue: products and plans change after access to them was granted. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::{Api, Item, Quota, Rate};
use super::state::{Grant, OauthClient, Stage};

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

    fn is_about(&self, item: &Item) -> bool {
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

impl OauthClient {
    /// Whether something that is granted is otherwise by a change.
    pub(super) fn concerns(&self, change: &CatalogueChange) -> bool {
        let living = self
            .grants
            .values()
            .filter(|grant| grant.stage != Stage::Withdrawn);
        living
            .flat_map(|grant| &grant.items)
            .any(|item| change.applied_to(item).is_some())
    }

    /// Requests that have something of what was changed.
    pub fn requests_for<'a>(
        &'a self,
        change: &'a CatalogueChange,
    ) -> impl Iterator<Item = Uuid> + 'a {
        self.grants
            .iter()
            .filter(|(_, grant)| grant.items.iter().any(|item| change.is_about(item)))
            .map(|(id, _)| *id)
    }

    /// Other scopes are new credentials to the developer, who is told when they work; of all else nobody but the
    /// gateway needs to know.
    pub(super) fn follow_catalogue(&mut self, change: &CatalogueChange) {
        let ids: Vec<Uuid> = self.requests_for(change).collect();
        self.revision += 1;
        self.refused = None;
        for id in ids {
            let Some(grant) = self.grants.get_mut(&id) else {
                continue;
            };
            if grant.stage == Stage::Withdrawn {
                continue;
            }
            let before = grant.clone();
            if !follow(grant, change) {
                continue;
            }
            let after = grant.clone();
            // Where it was is to be taken away, and where it is now to be written.
            self.ask_gateways(&before);
            self.ask_gateways(&after);
        }
    }
}

fn follow(grant: &mut Grant, change: &CatalogueChange) -> bool {
    let scopes = grant.scopes();
    let mut changed = false;
    for item in &mut grant.items {
        if let Some(after) = change.applied_to(item) {
            *item = after;
            changed = true;
        }
    }
    if changed && grant.stage == Stage::Active {
        if matches!(change, CatalogueChange::ProductDeleted { .. }) || scopes == grant.scopes() {
            grant.outdated = true;
        } else {
            grant.stage = Stage::Waiting;
        }
    }
    changed
}
