//! From what is granted to what one gateway should have. Pure.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::failure::MappingFailure;
use crate::entitlement::SCOPE_STILL_HELD;
use crate::gateways::{Mapping, PolicyKind, WantedPolicy, plan_policy_id, product_policy_id};
use crate::item::Api;
use crate::views::gateways::Recorded;
use crate::views::grants::{ApiLocation, ApiLocations, Grant};
use crate::views::held_scopes::{HolderOf, Holders};

/// What one API should have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ApiTarget {
    /// Whose tokens it takes; none: nobody wants it.
    pub(crate) identity_provider_id: Option<Uuid>,
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
    /// Who has each scope; a scope that nobody claims is free.
    holders: Holders,
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
    #[error("OAuth clients may still hold the scope {scope} from {holder}")]
    Held { scope: String, holder: String },
}

impl From<Clash> for MappingFailure {
    fn from(clash: Clash) -> Self {
        match clash {
            Clash::Provider { .. } => Self::fail("key_source_taken", clash.to_string()),
            Clash::Scope { .. } => Self::fail("scope_mapped_otherwise", clash.to_string()),
            Clash::Held { .. } => Self::wait(SCOPE_STILL_HELD, clash.to_string()),
        }
    }
}

impl Grant {
    /// The policy that the product's scopes give.
    pub(crate) fn product_policy(&self) -> String {
        let named = self.product_policy_id.clone();
        named.unwrap_or_else(|| product_policy_id(&self.product_id))
    }

    /// The policy that the plan's scopes give.
    pub(crate) fn plan_policy(&self) -> String {
        let named = self.plan_policy_id.clone();
        named.unwrap_or_else(|| plan_policy_id(&self.plan_id))
    }

    /// Every scope, with whose it is and the policy that it gives.
    fn entries(&self) -> impl Iterator<Item = (&String, &String, String)> {
        let (product, plan) = (self.product_policy(), self.plan_policy());
        let products = self
            .product_scopes
            .iter()
            .map(move |scope| (scope, &self.product_id, product.clone()));
        let plans = self
            .plan_scopes
            .iter()
            .map(move |scope| (scope, &self.plan_id, plan.clone()));
        products.chain(plans)
    }

    /// Scopes that the clients of another product or plan may still hold.
    pub(super) fn held_by_others(&self, holders: &Holders) -> Vec<Clash> {
        let held = self.entries().filter_map(|(scope, of, _)| {
            let holder = held_by_another(holders, self, scope, of)?;
            Some(Clash::Held {
                scope: scope.clone(),
                holder: holder.name.clone(),
            })
        });
        held.collect()
    }

    fn policies(&self, api_ids: &[String]) -> Vec<WantedPolicy> {
        let mut made = Vec::new();
        let policy = |id, kind, what: &str, name: &str| WantedPolicy {
            id,
            name: format!("Portico {what}: {name}"),
            api_ids: api_ids.to_vec(),
            kind,
        };
        if self.product_policy_id.is_none() {
            let id = self.product_policy();
            made.push(policy(
                id,
                PolicyKind::Product,
                "product",
                &self.product_name,
            ));
        }
        if self.plan_policy_id.is_none() {
            let kind = PolicyKind::Plan {
                rate: self.rate,
                quota: self.quota,
            };
            made.push(policy(self.plan_policy(), kind, "plan", &self.plan_name));
        }
        made
    }

    /// The ids of its APIs at a gateway.
    pub(crate) fn apis_at(&self, gateway: Uuid, places: &ApiLocations) -> Vec<String> {
        let here = |api: &&Api| places.of(api) == ApiLocation::At(gateway);
        self.apis
            .iter()
            .filter(here)
            .map(|api| api.api_id.clone())
            .collect()
    }
}

/// What a gateway should have. Where grants contradict each other, what is in force stays, and otherwise the first one
/// has its way: nobody loses access because somebody else gets some. A scope that the clients of another product may
/// still hold is left out, or their tokens would open this product too.
///
/// API keys need no mapping, but policies, which they may share with scopes.
pub(crate) fn target(
    gateway: Uuid,
    grants: &[Grant],
    holders: Holders,
    places: &ApiLocations,
    recorded: &BTreeMap<String, Recorded>,
) -> Target {
    let mut target = Target {
        holders,
        ..Target::default()
    };
    for api in recorded.keys() {
        target.apis.insert(api.clone(), ApiTarget::default());
    }
    let at = here(gateway, grants, places);
    let of_clients = || {
        let of_client = |(grant, _): &&(&Grant, Vec<String>)| grant.identity_provider_id.is_some();
        at.iter().filter(of_client)
    };
    for (api, provider) in providers(of_clients(), recorded) {
        target.apis.entry(api).or_default().identity_provider_id = Some(provider);
    }
    let none = Mapping::new();
    for (grant, apis) in of_clients() {
        for api in apis {
            let before = recorded.get(api).map_or(&none, |api| &api.owned.entries);
            target.add(api, grant, before);
        }
    }
    let of_keys = at
        .iter()
        .filter(|(grant, _)| grant.identity_provider_id.is_none());
    target.of_keys = of_keys
        .flat_map(|(grant, _)| [grant.product_policy(), grant.plan_policy()])
        .collect();
    target.policies = policies(&at);
    target
}

/// What is granted at this gateway, with the APIs there.
fn here<'a>(
    gateway: Uuid,
    grants: &'a [Grant],
    places: &ApiLocations,
) -> Vec<(&'a Grant, Vec<String>)> {
    grants
        .iter()
        .map(|grant| (grant, grant.apis_at(gateway, places)))
        .filter(|(_, apis)| !apis.is_empty())
        .collect()
}

/// Whose tokens each API takes.
fn providers<'a>(
    at: impl Iterator<Item = &'a (&'a Grant, Vec<String>)>,
    recorded: &BTreeMap<String, Recorded>,
) -> BTreeMap<String, Uuid> {
    let mut candidates: BTreeMap<&String, Vec<Uuid>> = BTreeMap::new();
    for (grant, apis) in at {
        for api in apis {
            let of_api = candidates.entry(api).or_default();
            of_api.extend(grant.identity_provider_id);
        }
    }
    let choose = |api: &String, of_api: &[Uuid]| {
        let before = recorded.get(api).and_then(|api| api.identity_provider_id);
        let stays = before.filter(|before| of_api.contains(before));
        stays.or(of_api.first().copied())
    };
    candidates
        .into_iter()
        .filter_map(|(api, of_api)| Some((api.clone(), choose(api, &of_api)?)))
        .collect()
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
    fn add(&mut self, api: &str, grant: &Grant, before: &Mapping) {
        let Some(wanted) = self.apis.get_mut(api) else {
            return;
        };
        if wanted.identity_provider_id != grant.identity_provider_id {
            return;
        }
        for (scope, of, policy) in grant.entries() {
            if held_by_another(&self.holders, grant, scope, of).is_some() {
                continue;
            }
            let in_force = before.get(scope) == Some(&policy);
            if in_force || !wanted.entries.contains_key(scope) {
                wanted.entries.insert(scope.clone(), policy);
            }
        }
    }

    /// Whether an API has what a grant needs.
    pub(crate) fn serves(&self, api: &str, grant: &Grant) -> Result<(), Clash> {
        let api_id = || api.to_owned();
        let target = self.apis.get(api);
        let target = target.filter(|api| api.identity_provider_id == grant.identity_provider_id);
        let Some(target) = target else {
            return Err(Clash::Provider { api: api_id() });
        };
        if let Some(held) = grant.held_by_others(&self.holders).pop() {
            return Err(held);
        }
        for (scope, _, policy) in grant.entries() {
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

fn held_by_another<'a>(
    holders: &'a Holders,
    grant: &Grant,
    scope: &str,
    of: &str,
) -> Option<&'a HolderOf> {
    let provider = grant.identity_provider_id?;
    let holder = holders.get(&(provider, scope.to_owned()))?;
    (holder.id != of).then_some(holder)
}

#[cfg(test)]
mod tests;
