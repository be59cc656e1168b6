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

use super::target::{Target, target};
use super::{Mapped, Mapper, MappingFailure};
use crate::entitlement::IDENTITY_PROVIDER_UNKNOWN;
use crate::gateways::{
    Disposition, Failure, NO_OPERATION, Owned, PolicyKind, Wanted, WantedApi, WantedPolicy,
};
use crate::known::KnownProvider;
use crate::mapping::{ApiMapping, Command};
use crate::views::gateways::{self as view, Recorded};
use crate::views::grants::{self, ApiLocations, Grant, Policies};
use crate::views::held_scopes;

/// What is due beside everything that is not, or not certainly, as it should be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope {
    Whatever,
    /// The APIs of a request, and whether it has what it needs decides about success.
    Request(Uuid),
    /// The APIs that take tokens of an identity provider.
    Provider(Uuid),
    /// Everything, whatever is recorded of it.
    Repair,
}

/// What is, and what should be.
pub(super) struct Work<'a> {
    mapper: &'a Mapper,
    gateway: Uuid,
    access: Access,
    places: ApiLocations,
    recorded: BTreeMap<String, Recorded>,
    target: Target,
    scope: Scope,
    /// Of the request that is asked for.
    mine: Vec<Grant>,
}

type Failures = BTreeMap<String, Failure>;

impl<'a> Work<'a> {
    /// Reads everything that Portico knows. `more` is taken as granted too.
    pub(super) async fn survey(
        mapper: &'a Mapper,
        gateway: Uuid,
        scope: Scope,
        more: &[Grant],
    ) -> Result<Self, MappingFailure> {
        let access = Access::of(mapper, gateway).await?;
        let pool = mapper.pool();
        let places = view::places(pool).await?;
        let recorded = view::recorded(pool, gateway).await?;
        let mut mine = match scope {
            Scope::Request(request) => grants::of_request(pool, request).await?,
            Scope::Whatever | Scope::Provider(_) | Scope::Repair => Vec::new(),
        };
        let mut all = grants::all(pool).await?;
        all.extend_from_slice(more);
        let policies = Policies::of(&all);
        for grant in all.iter_mut().chain(&mut mine) {
            policies.update(grant);
        }
        let holders = held_scopes::holders(pool).await?;
        let target = target(gateway, &all, holders, &places, &recorded);
        Ok(Self {
            mapper,
            gateway,
            access,
            places,
            recorded,
            target,
            scope,
            mine,
        })
    }

    /// Does what is due, and says how that is for the requests.
    pub(super) async fn run(self, context: &Context) -> Result<Mapped, MappingFailure> {
        let mut failures = Failures::new();
        let due = self.due();
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
            let lines = preview::lines(api, changes);
            if !lines.is_empty() {
                tracing::info!(gateway_id = %self.gateway, api_id = api, changes = lines.len(), "scope mapping written");
            }
            mapped.changes.extend(lines);
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

    /// The APIs that are not, or not certainly, as they should be, and those of the scope, whatever is recorded of
    /// them.
    fn due(&self) -> BTreeSet<String> {
        let mine = self.mine.iter();
        let mut due: BTreeSet<String> = mine
            .flat_map(|grant| grant.apis_at(self.gateway, &self.places))
            .collect();
        for (api, target) in &self.target.apis {
            let as_it_should_be = self.recorded.get(api).is_some_and(|recorded| {
                recorded.settled
                    && recorded.owned.entries == target.entries
                    && (target.entries.is_empty()
                        || recorded.identity_provider_id == target.identity_provider_id)
            });
            let asked_for = match self.scope {
                Scope::Repair => true,
                Scope::Provider(provider) => target.identity_provider_id == Some(provider),
                Scope::Whatever | Scope::Request(_) => false,
            };
            if !as_it_should_be || asked_for {
                due.insert(api.clone());
            }
        }
        due
    }

    async fn wanted_apis(
        &self,
        due: &BTreeSet<String>,
        failures: &mut Failures,
    ) -> Result<Vec<WantedApi>, MappingFailure> {
        let targets = due.iter();
        let targets = targets.filter_map(|api| Some((api, self.target.apis.get(api)?)));
        let targets: Vec<_> = targets.collect();
        let used = targets
            .iter()
            .filter_map(|(_, target)| target.identity_provider_id);
        let mut providers = BTreeMap::new();
        for id in used.collect::<BTreeSet<Uuid>>() {
            providers.insert(id, self.provider(id).await?);
        }
        let mut apis = Vec::new();
        for (api, target) in targets {
            let provider = target
                .identity_provider_id
                .and_then(|id| providers.get(&id));
            let newest = provider.filter(|known| !known.deleted);
            let newest = newest.and_then(|known| known.newest.as_ref());
            let keys =
                newest.and_then(|found| Some((found.jwks_uri.clone()?, found.scope_claim.clone())));
            let (jwks_uri, scope_claim) = match keys {
                Some(keys) => keys,
                // Taking away needs no provider.
                None if target.entries.is_empty() => Default::default(),
                None => {
                    failures.insert(api.clone(), without_keys(provider));
                    continue;
                }
            };
            apis.push(WantedApi {
                api_id: api.clone(),
                entries: target.entries.clone(),
                jwks_uri,
                scope_claim,
                owned: self.owned(api).clone(),
                restore: matches!(self.scope, Scope::Repair),
            });
        }
        Ok(apis)
    }

    /// Records what will be owned, before anything is written. APIs that cannot be planned go out of `apis`.
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
        if api.entries.is_empty() {
            return Ok(());
        }
        let target = self.target.apis.get(&api.api_id);
        let command = Command::Intend {
            gateway_id: self.gateway,
            api_id: api.api_id.clone(),
            identity_provider_id: target.and_then(|target| target.identity_provider_id),
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
        let id = ApiMapping::id(self.gateway, api);
        let store = &self.mapper.store;
        store.execute::<ApiMapping>(id, command, context).await?;
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
            .map(|policy| policy.named(|api| at.contains(api)))
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

/// Why nothing can be let through: the provider is unknown yet, is gone, or nobody but itself can read its tokens.
fn without_keys(provider: Option<&KnownProvider>) -> Failure {
    let (disposition, code, why) = match provider {
        Some(known) if known.deleted => (
            Disposition::Fail,
            "identity_provider_not_found",
            "the identity provider is not there any more",
        ),
        Some(known) if known.newest.is_some() => (
            Disposition::Fail,
            "identity_provider_without_keys",
            "the identity provider has no jwks_uri, so the gateway cannot check its tokens",
        ),
        _ => (
            Disposition::Retry,
            IDENTITY_PROVIDER_UNKNOWN,
            "the registration service has not said yet where the identity provider has its keys",
        ),
    };
    Failure::new(disposition, code, why)
}
