//! One piece of work at one gateway. Nobody else works there meanwhile.
//!
//! - `reach`: how gateway and provider are reached
//! - `tidy`: removing policies that nothing leads to any more
//! - `verdict`: how it went for those who asked for it
//! - `preview`: what it would do
//! - `keys`: the policies of API keys
//! - `drift`: what somebody else changed

mod drift;
mod keys;
mod preview;
mod reach;
mod tidy;
mod verdict;

pub(crate) use drift::Drift;
pub(super) use reach::Access;

use std::collections::{BTreeMap, BTreeSet};

use portico_eventstore::Context;
use portico_runtime::fault;
use uuid::Uuid;

use super::grants::{self, Grant, Places, Policies};
use super::ownership::{Command, Ownership};
use super::wanted::{ApiTarget, Recorded, Target, target};
use super::{Mapped, Mapper, MappingFailure};
use crate::gateways::{NO_OPERATION, Owned, PolicyKind, Wanted, WantedApi, WantedPolicy};
use crate::providers::{Disposition, Failure};
use crate::views::gateways as view;

/// What is, and what should be.
pub(super) struct Work<'a> {
    mapper: &'a Mapper,
    gateway: Uuid,
    access: Access,
    places: Places,
    recorded: BTreeMap<String, Recorded>,
    target: Target,
    /// Of each request that is asked for.
    mine: BTreeMap<Uuid, Vec<Grant>>,
    /// Everything is looked at anew, whatever is recorded of it.
    repair: bool,
}

/// How each API went.
type Failures = BTreeMap<String, Failure>;

impl<'a> Work<'a> {
    /// Reads everything that Portico knows. `more` is taken as granted too.
    pub(super) async fn survey(
        mapper: &'a Mapper,
        gateway: Uuid,
        requests: &[Uuid],
        more: &[Grant],
    ) -> Result<Self, MappingFailure> {
        let access = Access::of(mapper, gateway).await?;
        let pool = mapper.pool();
        let places = view::places(pool).await?;
        let recorded = view::recorded(pool, gateway).await?;
        let mut mine = grants::of_requests(pool, requests).await?;
        let mut all = grants::all(pool).await?;
        all.extend_from_slice(more);
        let policies = Policies::of(&all);
        for grant in all.iter_mut().chain(mine.values_mut().flatten()) {
            policies.update(grant);
        }
        let keys = grants::of_keys(pool).await?;
        let target = target(gateway, &all, &keys, &places, &recorded);
        Ok(Self {
            mapper,
            gateway,
            access,
            places,
            recorded,
            target,
            mine,
            repair: false,
        })
    }

    /// Does what is due, and says how that is for the requests.
    pub(super) async fn run(self, context: &Context) -> Result<Mapped, MappingFailure> {
        let mut failures = Failures::new();
        let due = self.due().await?;
        let mut apis = self.wanted_apis(&due, &mut failures).await?;
        self.intend(&mut apis, &mut failures, context).await?;
        fault::point("gateway_intent");
        let wanted = Wanted {
            policies: self.policies_of(&apis),
            apis,
        };
        let mut written = BTreeMap::new();
        for (api, done) in self.driver()?.apply(&self.session(), &wanted).await {
            match done {
                Ok(changes) => {
                    written.insert(api, changes);
                }
                Err(failure) => {
                    failures.insert(api, failure);
                }
            }
        }
        fault::point("gateway_written");
        let mut mapped = Mapped::default();
        let kept = self.tidy(&written, &mut mapped.warnings).await?;
        for (api, changes) in &written {
            mapped.changes.extend(preview::lines(api, changes));
            if !kept.contains(api) {
                self.settle(api, &changes.owned, context).await?;
            }
        }
        mapped.failed = failures
            .iter()
            .map(|(api, failure)| (api.clone(), failure.description.clone()))
            .collect();
        let stale = written
            .into_iter()
            .map(|(api, changes)| (api, changes.stale))
            .collect();
        self.verdict(&failures, &stale)?;
        Ok(mapped)
    }

    /// The APIs that are not, or not certainly, as they should be, and those of the
    /// requests, whatever is recorded of them.
    async fn due(&self) -> Result<BTreeSet<String>, MappingFailure> {
        if self.repair {
            return Ok(self.target.apis.keys().cloned().collect());
        }
        let mut due: BTreeSet<String> = self
            .mine
            .values()
            .flatten()
            .flat_map(|grant| grant.apis_at(self.gateway, &self.places))
            .collect();
        for (api, target) in &self.target.apis {
            let as_it_should_be = self.recorded.get(api).is_some_and(|recorded| {
                recorded.settled
                    && recorded.owned.entries == target.entries
                    && (target.entries.is_empty()
                        || recorded.identity_provider_id == target.identity_provider_id)
            });
            if !as_it_should_be || self.has_moved(api, target).await? {
                due.insert(api.clone());
            }
        }
        Ok(due)
    }

    /// Whether the provider's keys are at another address than Portico has ever written there.
    async fn has_moved(&self, api: &str, target: &ApiTarget) -> Result<bool, MappingFailure> {
        let written = &self.owned(api).jwks_uris;
        if written.is_empty() || target.entries.is_empty() {
            return Ok(false);
        }
        let provider = self.provider(&target.identity_provider_id).await?;
        let jwks_uri = provider.and_then(|(jwks_uri, _)| jwks_uri);
        Ok(jwks_uri.is_some_and(|jwks_uri| !written.contains(&jwks_uri)))
    }

    async fn wanted_apis(
        &self,
        due: &BTreeSet<String>,
        failures: &mut Failures,
    ) -> Result<Vec<WantedApi>, MappingFailure> {
        let mut providers = BTreeMap::new();
        let mut apis = Vec::new();
        for api in due {
            let Some(target) = self.target.apis.get(api) else {
                continue;
            };
            let provider = target.identity_provider_id.as_str();
            if !providers.contains_key(provider) {
                providers.insert(provider, self.provider(provider).await?);
            }
            // Taking away needs no provider.
            let (jwks_uri, scope_claim) = match providers.get(provider).cloned().flatten() {
                Some((Some(jwks_uri), scope_claim)) => (jwks_uri, scope_claim),
                _ if target.entries.is_empty() => Default::default(),
                found => {
                    failures.insert(api.clone(), without_keys(found.is_some()));
                    continue;
                }
            };
            apis.push(WantedApi {
                api_id: api.clone(),
                entries: target.entries.clone(),
                jwks_uri,
                scope_claim,
                owned: self.owned(api).clone(),
                restore: self.repair,
            });
        }
        Ok(apis)
    }

    /// Records what will be owned, before anything is written. APIs that cannot be
    /// planned go out of `apis`.
    async fn intend(
        &self,
        apis: &mut Vec<WantedApi>,
        failures: &mut Failures,
        context: &Context,
    ) -> Result<(), MappingFailure> {
        let wanted = Wanted {
            policies: Vec::new(),
            apis: apis.clone(),
        };
        let mut planned = self.driver()?.plan(&self.session(), &wanted).await;
        let mut possible = Vec::new();
        for mut api in std::mem::take(apis) {
            match planned.remove(&api.api_id) {
                Some(Ok(changes)) => {
                    api.owned = api.owned.with(&changes.owned);
                    self.intend_one(&api, context).await?;
                    possible.push(api);
                }
                Some(Err(failure)) => {
                    failures.insert(api.api_id, failure);
                }
                None => {}
            }
        }
        *apis = possible;
        Ok(())
    }

    async fn intend_one(&self, api: &WantedApi, context: &Context) -> Result<(), MappingFailure> {
        let provider = self.target.apis.get(&api.api_id);
        if api.entries.is_empty() {
            return Ok(());
        }
        let command = Command::Intend {
            gateway_id: self.gateway,
            api_id: api.api_id.clone(),
            identity_provider_id: provider
                .map(|target| target.identity_provider_id.clone())
                .unwrap_or_default(),
            owned: api.owned.clone(),
        };
        self.record(&api.api_id, &command, &context.step("intend"))
            .await
    }

    async fn settle(
        &self,
        api: &str,
        owned: &Owned,
        context: &Context,
    ) -> Result<(), MappingFailure> {
        let command = Command::Settle {
            owned: owned.clone(),
        };
        self.record(api, &command, &context.step("settle")).await
    }

    async fn record(
        &self,
        api: &str,
        command: &Command,
        context: &Context,
    ) -> Result<(), MappingFailure> {
        let id = Ownership::id(self.gateway, api);
        let store = &self.mapper.store;
        store.execute::<Ownership>(id, command, context).await?;
        Ok(())
    }

    /// The policies that Portico makes and that these APIs need. A plan's names all
    /// APIs it was ever needed at, so it is only told those of this work.
    fn policies_of(&self, apis: &[WantedApi]) -> Vec<WantedPolicy> {
        let at: BTreeSet<&String> = apis.iter().map(|api| &api.api_id).collect();
        let used: BTreeSet<&String> = apis.iter().flat_map(|api| api.entries.values()).collect();
        let needed = used.iter().filter_map(|id| self.target.policies.get(*id));
        let default = (!used.is_empty() && self.access.settings.default_policy_id == NO_OPERATION)
            .then(|| WantedPolicy {
                id: NO_OPERATION.to_owned(),
                name: "Portico No-Operation".to_owned(),
                api_ids: at.iter().map(|api| (*api).clone()).collect(),
                kind: PolicyKind::NoOperation,
            });
        needed
            .cloned()
            .map(|mut policy| {
                if matches!(policy.kind, PolicyKind::Plan { .. }) {
                    policy.api_ids.retain(|api| at.contains(api));
                }
                policy
            })
            .chain(default)
            .collect()
    }

    fn owned(&self, api: &str) -> &Owned {
        static NOTHING: Owned = Owned {
            entries: BTreeMap::new(),
            jwks_uris: BTreeSet::new(),
        };
        self.recorded
            .get(api)
            .map_or(&NOTHING, |recorded| &recorded.owned)
    }
}

/// Why nothing can be let through: the provider is gone, or nobody but itself can read its tokens.
fn without_keys(is_there: bool) -> Failure {
    let (code, why) = match is_there {
        true => (
            "identity_provider_without_keys",
            "the identity provider has no jwks_uri, so the gateway cannot check its tokens",
        ),
        false => (
            "identity_provider_not_found",
            "the identity provider is not there any more",
        ),
    };
    Failure::new(Disposition::Fail, code, why)
}
