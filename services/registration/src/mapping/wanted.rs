//! From what is granted to what one gateway should have. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::grants::{Grant, Place, Places};
use crate::gateways::{
    Mapping, Owned, PolicyKind, WantedPolicy, plan_policy_id, product_policy_id,
};
use uuid::Uuid;

/// What is recorded of one API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Whose tokens it takes.
    pub(crate) identity_provider_id: String,
    /// What Portico owns there.
    pub(crate) owned: Owned,
    /// Whether that is certain.
    pub(crate) settled: bool,
}

/// What one API should have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ApiTarget {
    /// Whose tokens it takes; empty: nobody wants it.
    pub(crate) identity_provider_id: String,
    /// Scopes and the policies that they give.
    pub(crate) entries: Mapping,
}

/// What one gateway should have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// By API id; those with something recorded are there too.
    pub(crate) apis: BTreeMap<String, ApiTarget>,
    /// By id; only those that Portico makes.
    pub(crate) policies: BTreeMap<String, WantedPolicy>,
    /// Ids of policies that API keys have.
    pub(crate) of_keys: BTreeSet<String>,
}

/// Why an API cannot have what a grant needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Clash {
    #[error(
        "the API {api} takes the tokens of another identity provider already; one API takes those of one"
    )]
    Provider { api: String },
    #[error("the scope {scope} means another product or plan at the API {api} already")]
    Scope { api: String, scope: String },
}

impl Clash {
    /// A stable word.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Provider { .. } => "key_source_taken",
            Self::Scope { .. } => "scope_mapped_otherwise",
        }
    }
}

impl Grant {
    /// The policy that the product's scopes give.
    pub(crate) fn product_policy(&self) -> String {
        if self.product_policy_id.is_empty() {
            product_policy_id(&self.product_id)
        } else {
            self.product_policy_id.clone()
        }
    }

    /// The policy that the plan's scopes give.
    pub(crate) fn plan_policy(&self) -> String {
        if self.plan_policy_id.is_empty() {
            plan_policy_id(&self.plan_id)
        } else {
            self.plan_policy_id.clone()
        }
    }

    /// Every scope with its policy.
    fn entries(&self) -> impl Iterator<Item = (&String, String)> {
        let (product, plan) = (self.product_policy(), self.plan_policy());
        let products = self
            .product_scopes
            .iter()
            .map(move |scope| (scope, product.clone()));
        let plans = self
            .plan_scopes
            .iter()
            .map(move |scope| (scope, plan.clone()));
        products.chain(plans)
    }

    fn policies(&self, api_ids: &[String]) -> Vec<WantedPolicy> {
        let mut made = Vec::new();
        let policy = |id, kind, what: &str, name: &str| WantedPolicy {
            id,
            name: format!("Portico {what}: {name}"),
            api_ids: api_ids.to_vec(),
            kind,
        };
        if self.product_policy_id.is_empty() {
            let id = self.product_policy();
            made.push(policy(
                id,
                PolicyKind::Product,
                "product",
                &self.product_name,
            ));
        }
        if self.plan_policy_id.is_empty() {
            let kind = PolicyKind::Plan {
                rate: self.rate,
                quota: self.quota,
            };
            made.push(policy(self.plan_policy(), kind, "plan", &self.plan_name));
        }
        made
    }

    /// The ids of its APIs at a gateway.
    pub(crate) fn apis_at(&self, gateway: Uuid, places: &Places) -> Vec<String> {
        let here = |api: &&super::grants::GrantedApi| places.of(api) == Place::At(gateway);
        self.apis
            .iter()
            .filter(here)
            .map(|api| api.api_id.clone())
            .collect()
    }
}

/// What a gateway should have. Where grants contradict each other, what is in force
/// stays, and otherwise the first one has its way: nobody loses access because
/// somebody else gets some.
///
/// API keys need no mapping, but policies, which they may share with scopes.
pub(crate) fn target(
    gateway: Uuid,
    grants: &[Grant],
    keys: &[Grant],
    places: &Places,
    recorded: &BTreeMap<String, Recorded>,
) -> Target {
    let mut target = Target::default();
    for api in recorded.keys() {
        target.apis.insert(api.clone(), ApiTarget::default());
    }
    let mut at = here(gateway, grants, places);
    for (api, provider) in providers(&at, recorded) {
        target.apis.entry(api).or_default().identity_provider_id = provider;
    }
    let none = Mapping::new();
    for (grant, apis) in &at {
        for api in apis {
            let Some(wanted) = target.apis.get_mut(api) else {
                continue;
            };
            if wanted.identity_provider_id == grant.identity_provider_id {
                let before = recorded.get(api).map_or(&none, |api| &api.owned.entries);
                add(wanted, grant, before);
            }
        }
    }
    let of_keys = here(gateway, keys, places);
    target.of_keys = of_keys
        .iter()
        .flat_map(|(grant, _)| [grant.product_policy(), grant.plan_policy()])
        .collect();
    at.extend(of_keys);
    target.policies = policies(&at);
    target
}

/// What is granted at this gateway, with the APIs there.
fn here<'a>(gateway: Uuid, grants: &'a [Grant], places: &Places) -> Vec<(&'a Grant, Vec<String>)> {
    grants
        .iter()
        .map(|grant| (grant, grant.apis_at(gateway, places)))
        .filter(|(_, apis)| !apis.is_empty())
        .collect()
}

/// Whose tokens each API takes.
fn providers(
    at: &[(&Grant, Vec<String>)],
    recorded: &BTreeMap<String, Recorded>,
) -> BTreeMap<String, String> {
    let mut candidates: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
    for (grant, apis) in at {
        for api in apis {
            let of_api = candidates.entry(api).or_default();
            of_api.push(&grant.identity_provider_id);
        }
    }
    let choose = |api: &String, of_api: &[&String]| {
        let before = recorded.get(api).map(|api| &api.identity_provider_id);
        let stays = before.filter(|before| of_api.contains(before));
        stays.or(of_api.first().copied()).cloned()
    };
    candidates
        .into_iter()
        .filter_map(|(api, of_api)| Some((api.clone(), choose(api, &of_api)?)))
        .collect()
}

fn add(wanted: &mut ApiTarget, grant: &Grant, before: &Mapping) {
    for (scope, policy) in grant.entries() {
        let in_force = before.get(scope) == Some(&policy);
        if in_force || !wanted.entries.contains_key(scope) {
            wanted.entries.insert(scope.clone(), policy);
        }
    }
}

/// The policies that Portico makes. A product's opens the APIs of all grants that
/// have it; limits and names are those of the last request.
fn policies(at: &[(&Grant, Vec<String>)]) -> BTreeMap<String, WantedPolicy> {
    let mut by_age: Vec<_> = at.iter().collect();
    by_age.sort_by(|(a, _), (b, _)| a.last_request.cmp(&b.last_request));
    let mut policies: BTreeMap<String, WantedPolicy> = BTreeMap::new();
    for (grant, apis) in by_age {
        for mut policy in grant.policies(apis) {
            if let Some(before) = policies.remove(&policy.id) {
                policy.api_ids.extend(before.api_ids);
            }
            let unique: BTreeSet<String> = policy.api_ids.into_iter().collect();
            policy.api_ids = unique.into_iter().collect();
            policies.insert(policy.id.clone(), policy);
        }
    }
    policies
}

impl Target {
    /// Whether an API has what a grant needs.
    pub(crate) fn serves(&self, api: &str, grant: &Grant) -> Result<(), Clash> {
        let api_id = || api.to_owned();
        let Some(target) = self.apis.get(api) else {
            return Err(Clash::Provider { api: api_id() });
        };
        if target.identity_provider_id != grant.identity_provider_id {
            return Err(Clash::Provider { api: api_id() });
        }
        for (scope, policy) in grant.entries() {
            if target.entries.get(scope) != Some(&policy) {
                return Err(Clash::Scope {
                    api: api_id(),
                    scope: scope.clone(),
                });
            }
        }
        Ok(())
    }

    /// Whether nothing leads to a policy any more.
    pub(crate) fn is_unused(&self, policy: &str) -> bool {
        let mapped = self
            .apis
            .values()
            .any(|api| api.entries.values().any(|used| used == policy));
        !mapped && !self.of_keys.contains(policy)
    }
}

#[cfg(test)]
mod tests;
