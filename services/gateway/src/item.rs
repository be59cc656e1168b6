//! A product under a plan as an access request has it, and what becomes of it when the catalogue changes. Pure.

use std::collections::BTreeSet;

use portico_proto::access::v1 as access;
use portico_proto::catalog::v1 as catalog;
use serde::{Deserialize, Serialize};

/// A product under a plan. Its scopes are those of the request's revision; everything else is the newest that the
/// catalogue said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) product: Product,
    pub(crate) plan: Plan,
}

/// A product of the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) id: String,
    /// Of its stream: the highest is the newest; 0: unknown.
    pub(crate) version: u64,
    pub(crate) name: String,
    /// RFC 6749 section 3.3.
    pub(crate) scopes: BTreeSet<String>,
    /// An existing policy at the gateway; none: Portico creates one.
    pub(crate) policy_id: Option<String>,
    pub(crate) apis: Vec<Api>,
}

/// A plan of the catalogue; its members are as a product's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) id: String,
    pub(crate) version: u64,
    pub(crate) name: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) policy_id: Option<String>,
    /// None: unlimited.
    pub(crate) rate: Option<Limit>,
    /// None: unlimited.
    pub(crate) quota: Option<Limit>,
}

/// An API behind a gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Api {
    /// Its id at the gateway.
    pub(crate) api_id: String,
    pub(crate) name: String,
    pub(crate) url: String,
    /// As the product names it; none: the only gateway there is.
    pub(crate) gateway_id: Option<String>,
}

/// So many requests in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// At least 1.
    pub requests: u64,
    /// At least 1.
    pub seconds: u64,
}

/// What the catalogue says of a product or a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub(crate) enum CatalogueChange {
    Product(Product),
    Plan(Plan),
    /// It is served nowhere any more.
    ProductDeleted {
        product_id: String,
    },
}

impl Item {
    /// Every scope, with the id of the product or plan that it is of.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = (&String, Holder<'_>)> {
        let (product, plan) = (&self.product, &self.plan);
        let product_holds = Holder {
            id: &product.id,
            name: &product.name,
        };
        let plan_holds = Holder {
            id: &plan.id,
            name: &plan.name,
        };
        let products = product
            .scopes
            .iter()
            .map(move |scope| (scope, product_holds));
        products.chain(plan.scopes.iter().map(move |scope| (scope, plan_holds)))
    }

    /// Whether the same is needed at gateways.
    pub(crate) fn needs_the_same_as(&self, other: &Self) -> bool {
        let mut other = other.clone();
        other.product.version = self.product.version;
        other.plan.version = self.plan.version;
        *self == other
    }

    /// The message of a revision may have been made before a change of the catalogue that came here first: only its
    /// scopes count then.
    pub(crate) fn keep_newer(&mut self, known: &Self) {
        if known.product.id == self.product.id && known.product.version > self.product.version {
            let scopes = std::mem::take(&mut self.product.scopes);
            self.product = Product {
                scopes,
                ..known.product.clone()
            };
        }
        if known.plan.id == self.plan.id && known.plan.version > self.plan.version {
            let scopes = std::mem::take(&mut self.plan.scopes);
            self.plan = Plan {
                scopes,
                ..known.plan.clone()
            };
        }
    }
}

/// The product or plan that a scope is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
}

impl CatalogueChange {
    /// The id of the product or plan.
    pub(crate) fn subject(&self) -> &str {
        match self {
            Self::Product(product) => &product.id,
            Self::Plan(plan) => &plan.id,
            Self::ProductDeleted { product_id } => product_id,
        }
    }

    /// Of its stream. Nothing comes after a deletion.
    pub(crate) fn version(&self) -> u64 {
        match self {
            Self::Product(product) => product.version,
            Self::Plan(plan) => plan.version,
            Self::ProductDeleted { .. } => u64::MAX,
        }
    }

    /// The item as it is after the change; none where nothing is new in it. Scopes stay: a change of those comes with
    /// a revision of the request.
    pub(crate) fn applied_to(&self, item: &Item) -> Option<Item> {
        let mut changed = item.clone();
        match self {
            Self::Product(newest) => {
                changed.product = Product {
                    scopes: item.product.scopes.clone(),
                    ..newest.clone()
                };
            }
            Self::Plan(newest) => {
                changed.plan = Plan {
                    scopes: item.plan.scopes.clone(),
                    ..newest.clone()
                };
            }
            Self::ProductDeleted { .. } => {
                changed.product.version = self.version();
                changed.product.policy_id = None;
                changed.product.apis.clear();
            }
        }
        let (subject, known) = match self {
            Self::Plan(_) => (&item.plan.id, item.plan.version),
            Self::Product(_) | Self::ProductDeleted { .. } => {
                (&item.product.id, item.product.version)
            }
        };
        let news = self.subject() == subject && self.version() > known;
        (news && !changed.needs_the_same_as(item)).then_some(changed)
    }
}

impl From<access::ApprovedItem> for Item {
    fn from(item: access::ApprovedItem) -> Self {
        Self {
            product: Product {
                id: item.product_id,
                version: item.product_version,
                name: item.product_name,
                scopes: item.product_scopes.into_iter().collect(),
                policy_id: item.product_policy_id,
                apis: item.apis.into_iter().map(Api::from).collect(),
            },
            plan: Plan {
                id: item.plan_id,
                version: item.plan_version,
                name: item.plan_name,
                scopes: item.plan_scopes.into_iter().collect(),
                policy_id: item.plan_policy_id,
                rate: item.rate.map(|rate| Limit {
                    requests: rate.requests,
                    seconds: rate.per_seconds,
                }),
                quota: item.quota.map(|quota| Limit {
                    requests: quota.requests,
                    seconds: quota.renews_every_seconds,
                }),
            },
        }
    }
}

impl From<access::ApprovedApi> for Api {
    fn from(api: access::ApprovedApi) -> Self {
        Self {
            api_id: api.api_id,
            name: api.name,
            url: api.url,
            gateway_id: api.gateway_id,
        }
    }
}

impl From<catalog::Product> for Product {
    fn from(product: catalog::Product) -> Self {
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
            id: product.id,
            version: product.version,
            name: product.name,
            scopes: product.scopes.into_iter().collect(),
            policy_id: product.mapping.and_then(|at| at.policy_id),
            apis: product.apis.into_iter().map(api).collect(),
        }
    }
}

impl From<catalog::Plan> for Plan {
    fn from(plan: catalog::Plan) -> Self {
        Self {
            id: plan.id,
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
    use portico_eventstore::Fact as _;

    use super::*;

    fn item(version: u64, api: &str, scope: &str) -> Item {
        Item {
            product: Product {
                id: "pay".into(),
                version,
                scopes: [scope.to_owned()].into(),
                apis: vec![Api {
                    api_id: api.into(),
                    ..Api::default()
                }],
                ..Product::default()
            },
            plan: Plan::default(),
        }
    }

    #[test]
    fn the_catalogue_moves_apis_and_leaves_scopes_to_revisions() {
        let change = CatalogueChange::Product(item(3, "new", "other").product);
        let changed = change.applied_to(&item(2, "old", "mine")).unwrap();
        assert_eq!(changed, item(3, "new", "mine"));
        assert_eq!(change.applied_to(&changed), None, "again");
        assert_eq!(change.applied_to(&item(4, "newer", "mine")), None);
        let scopes_only = CatalogueChange::Product(item(5, "new", "third").product);
        assert_eq!(scopes_only.applied_to(&changed), None);
    }

    #[test]
    fn a_revision_that_knew_less_of_the_catalogue_brings_only_its_scopes() {
        let mut late = item(2, "old", "theirs");
        late.keep_newer(&item(3, "new", "mine"));
        assert_eq!(late, item(3, "new", "theirs"));
        let mut newest = item(4, "newest", "theirs");
        newest.keep_newer(&item(3, "new", "mine"));
        assert_eq!(newest, item(4, "newest", "theirs"));
    }

    #[test]
    fn a_deleted_product_is_served_nowhere() {
        let deleted = CatalogueChange::ProductDeleted {
            product_id: "pay".into(),
        };
        let gone = deleted.applied_to(&item(2, "old", "mine")).unwrap();
        assert!(gone.product.apis.is_empty());
        assert_eq!(gone.product.scopes, ["mine".to_owned()].into());
        let late = CatalogueChange::Product(item(9, "new", "mine").product);
        assert_eq!(late.applied_to(&gone), None);
        assert!(deleted.is_newer_than(&late) && !late.is_newer_than(&deleted));
    }
}
