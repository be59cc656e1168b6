//! One piece of work at one gateway. Nobody else works there meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portico_eventstore::Context;
use portico_runtime::fault;
use portico_vault::Secret;
use url::Url;
use uuid::Uuid;

use super::grants::{self, Grant, Places, Policies};
use super::ownership::{Command, Ownership};
use super::wanted::{Recorded, Target, target};
use super::{Mapped, Mapper, MappingFailure};
use crate::gateway::{Gateway, Settings};
use crate::gateways::{
    ApiChanges, GatewaySession, Mapping, Owned, PolicyKind, Wanted, WantedApi, WantedPolicy,
    driver_for,
};
use crate::providers::{Disposition, Failure};
use crate::{identity_provider, views::gateways as view};

/// The hard deadline of each single call.
const DEADLINE: Duration = Duration::from_secs(10);
/// Of policies that Portico makes.
const OURS: [&str; 2] = ["portico-product-", "portico-plan-"];

/// What is, and what should be.
pub(super) struct Work<'a> {
    mapper: &'a Mapper,
    gateway: Uuid,
    settings: Settings,
    secret: Secret,
    url: Url,
    places: Places,
    recorded: BTreeMap<String, Recorded>,
    target: Target,
    /// Of each request that is asked for.
    mine: BTreeMap<Uuid, Vec<Grant>>,
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
        let (settings, secret, url) = access(mapper, gateway).await?;
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
        let target = target(gateway, &all, &places, &recorded);
        Ok(Self {
            mapper,
            gateway,
            settings,
            secret,
            url,
            places,
            recorded,
            target,
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
            mapped.changes.extend(lines(api, changes));
            if !kept.contains(api) {
                self.settle(api, &changes.owned, context).await?;
            }
        }
        self.verdict(&failures)?;
        Ok(mapped)
    }

    /// What granting `more` would change, for people.
    pub(super) async fn preview(self, more: &[Grant]) -> Result<Vec<String>, MappingFailure> {
        let mut failures = Failures::new();
        let mut due = BTreeSet::new();
        let mut lines = Vec::new();
        for grant in more {
            for api in grant.apis_at(self.gateway, &self.places) {
                if let Err(clash) = self.target.serves(&api, grant) {
                    lines.push(format!("Not possible: {clash}."));
                }
                due.insert(api);
            }
        }
        let apis = self.wanted_apis(&due, &mut failures).await?;
        let wanted = Wanted {
            policies: Vec::new(),
            apis,
        };
        for (api, planned) in self.driver()?.plan(&self.session(), &wanted).await {
            match planned {
                Ok(changes) => lines.extend(self::lines(&api, &changes)),
                Err(failure) => lines.push(not_possible(&api, &failure)),
            }
        }
        let failed = failures
            .iter()
            .map(|(api, failure)| not_possible(api, failure));
        lines.extend(failed);
        Ok(lines)
    }

    /// The APIs that are not, or not certainly, as they should be, and those of the
    /// requests, whatever is recorded of them.
    fn due(&self) -> BTreeSet<String> {
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
            if !as_it_should_be {
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
        let mut providers: BTreeMap<&str, Option<(String, String)>> = BTreeMap::new();
        let mut apis = Vec::new();
        for api in due {
            let Some(target) = self.target.apis.get(api) else {
                continue;
            };
            let provider = target.identity_provider_id.as_str();
            if !providers.contains_key(provider) {
                providers.insert(provider, self.provider(provider).await?);
            }
            let found = providers.get(provider).cloned().flatten();
            // Taking away needs no provider.
            let (jwks_uri, scope_claim) = match found {
                Some(found) => found,
                None if target.entries.is_empty() => Default::default(),
                None => {
                    let why = "the identity provider is not there any more";
                    let failure =
                        Failure::new(Disposition::Fail, "identity_provider_not_found", why);
                    failures.insert(api.clone(), failure);
                    continue;
                }
            };
            apis.push(WantedApi {
                api_id: api.clone(),
                entries: target.entries.clone(),
                jwks_uri,
                scope_claim,
                owned: self.owned(api).clone(),
            });
        }
        Ok(apis)
    }

    /// Where a provider's keys are, and which claim has the scopes.
    async fn provider(&self, id: &str) -> Result<Option<(String, String)>, MappingFailure> {
        let Ok(id) = id.parse::<Uuid>() else {
            return Ok(None);
        };
        let loaded = identity_provider::load(&self.mapper.store, id).await?;
        let settings = loaded.state.present().ok();
        Ok(settings.map(|settings| {
            let jwks_uri = settings.location.endpoints.jwks_uri.to_string();
            (jwks_uri, settings.scope_claim.clone())
        }))
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
        let needed = used
            .into_iter()
            .filter_map(|id| self.target.policies.get(id));
        needed
            .cloned()
            .map(|mut policy| {
                if matches!(policy.kind, PolicyKind::Plan { .. }) {
                    policy.api_ids.retain(|api| at.contains(api));
                }
                policy
            })
            .collect()
    }

    /// Removes policies of Portico's that nothing leads to any more. Gives the APIs
    /// whose record must stay as it is, so that the next work tries again.
    async fn tidy(
        &self,
        written: &BTreeMap<String, ApiChanges>,
        warnings: &mut Vec<String>,
    ) -> Result<BTreeSet<String>, MappingFailure> {
        let mut led_from: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
        for (api, recorded) in &self.recorded {
            for policy in recorded.owned.entries.values() {
                led_from.entry(policy).or_default().insert(api);
            }
        }
        // Where an API could not be written, it may lead there still.
        led_from.retain(|policy, apis| {
            OURS.iter().any(|prefix| policy.starts_with(prefix))
                && self.target.is_unused(policy)
                && apis.iter().all(|api| written.contains_key(*api))
        });
        let unused: BTreeSet<String> = led_from.keys().map(|id| (*id).clone()).collect();
        let mut kept = BTreeSet::new();
        if unused.is_empty() {
            return Ok(kept);
        }
        let driver = self.driver()?;
        for (policy, done) in driver.remove_policies(&self.session(), &unused).await {
            let Err(failure) = done else { continue };
            warnings.push(format!(
                "The policy {policy} is not used any more, but could not be removed: {}",
                failure.description
            ));
            if failure.disposition == Disposition::Retry {
                let apis = led_from.get(&policy).into_iter().flatten();
                kept.extend(apis.map(|api| (*api).clone()));
            }
        }
        Ok(kept)
    }

    /// Whether the requests have what they need.
    fn verdict(&self, failures: &Failures) -> Result<(), MappingFailure> {
        let mut worst: Option<MappingFailure> = None;
        let mut concerned = BTreeSet::new();
        for grants in self.mine.values() {
            for grant in grants {
                for api in grant.apis_at(self.gateway, &self.places) {
                    if let Err(clash) = self.target.serves(&api, grant) {
                        let failure = MappingFailure::fail(clash.code(), clash.to_string());
                        worst = Some(failure.and(worst));
                    }
                    concerned.insert(api);
                }
            }
            if grants.is_empty() {
                // Revoked: something of it may be where taking away failed.
                concerned.extend(failures.keys().filter(|api| self.shrinks(api)).cloned());
            }
        }
        for (api, failure) in failures {
            if concerned.contains(api) {
                worst = Some(MappingFailure::of_api(api, failure).and(worst));
            } else {
                tracing::warn!(gateway = %self.gateway, api, code = failure.code,
                    reason = failure.description, "an API could not be mapped");
            }
        }
        worst.map_or(Ok(()), Err)
    }

    fn shrinks(&self, api: &str) -> bool {
        let none = Mapping::new();
        let target = self.target.apis.get(api);
        let wanted = target.map_or(&none, |target| &target.entries);
        self.owned(api)
            .entries
            .keys()
            .any(|scope| !wanted.contains_key(scope))
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

    fn session(&self) -> GatewaySession<'_> {
        GatewaySession {
            outgoing: &self.mapper.deps.outgoing,
            url: &self.url,
            secret: &self.secret,
            org_id: &self.settings.org_id,
            default_policy_id: &self.settings.default_policy_id,
            deadline: DEADLINE,
        }
    }

    fn driver(&self) -> Result<&'static dyn crate::gateways::Gateway, MappingFailure> {
        driver_for(&self.settings.kind).ok_or_else(|| {
            let why = format!("No driver knows gateways of type {}.", self.settings.kind);
            MappingFailure::fail("gateway_type_unknown", why)
        })
    }
}

/// How a gateway is reached.
async fn access(mapper: &Mapper, gateway: Uuid) -> Result<(Settings, Secret, Url), MappingFailure> {
    let state = mapper.store.load::<Gateway>(gateway).await?.state;
    let Some(reference) = state.secret else {
        return Err(MappingFailure::fail(
            "gateway_not_found",
            "The gateway is not there any more.",
        ));
    };
    let owner = Gateway::vault_owner(gateway);
    let Some(secret) = mapper.vault.get(&owner, &reference).await? else {
        // Replaced at this moment.
        return Err(MappingFailure::retry(
            "gateway_secret_missing",
            "The gateway's secret is not there.",
        ));
    };
    let url = state.settings.url.parse().map_err(|_| {
        MappingFailure::fail("gateway_url_invalid", "The gateway's URL is not valid.")
    })?;
    Ok((state.settings, secret, url))
}

fn lines(api: &str, changes: &ApiChanges) -> Vec<String> {
    let foreign = changes.foreign.iter().map(|(scope, policy)| {
        format!("API {api}: has scope {scope} with policy {policy} already, not by Portico")
    });
    let changed = changes.changes.iter();
    changed
        .map(|change| format!("API {api}: {change}"))
        .chain(foreign)
        .collect()
}

fn not_possible(api: &str, failure: &Failure) -> String {
    format!("Not possible: API {api}: {}", failure.description)
}
