//! Keeps gateways in step with what is granted: the scopes of approved products and plans are mapped to policies where
//! they are wanted, and only there.
//!
//! - `target`: what a gateway should have, pure
//! - `work`: plan, record the intent, write, record what was written
//! - `failure`: why a gateway is not as it should be
//! - `lock`: one piece of work at a time for each gateway

mod failure;
mod lock;
pub(crate) mod target;
#[cfg(test)]
pub(crate) mod tests;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use portico_eventstore::sqlx::{self, AnyPool};
use portico_eventstore::{Context, Database, EventStore};
use portico_runtime::{Clock, Deps};
use portico_vault::Vault;
use uuid::Uuid;

use crate::entitlement::{GATEWAY_MISSING, Nothing};
use crate::gateways::{Gateway, GatewaySession};
use crate::item::Api;
use crate::views::gateways as view;
use crate::views::grants::{self, ApiLocation, ApiLocations, Grant};
use crate::views::held_scopes;
pub(crate) use failure::MappingFailure;
use failure::misplaced;
use lock::Locks;
pub(crate) use work::Drift;
use work::{Access, Scope, Work};

/// The gateways are as the requests need them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mapped {
    /// Nothing was to be done, and why.
    pub(crate) nothing: Option<Nothing>,
    /// What was changed, for people; empty: it was so already.
    pub(crate) changes: Vec<String>,
    /// What could not be tidied up, for people. It harms nobody.
    pub(crate) warnings: Vec<String>,
    /// APIs that could not be written, and why, whether they were asked for or not.
    pub(crate) failed: BTreeMap<String, String>,
}

/// Maps. Work at one gateway never overlaps: a lease keeps this and other mappers
/// apart, and a queue, which is fairer, this and its clones.
#[derive(Clone)]
pub(crate) struct Mapper {
    /// Of leases.
    owner: Uuid,
    deps: Deps,
    store: EventStore,
    vault: Vault,
    locks: Locks,
}

/// A gateway with its secret, ready to be talked to.
pub(crate) struct Reached {
    pub(crate) driver: &'static dyn Gateway,
    access: Access,
    outgoing: portico_runtime::Outgoing,
}

impl Reached {
    pub(crate) fn session(&self) -> GatewaySession<'_> {
        self.access.session(&self.outgoing)
    }
}

impl Mapper {
    pub(crate) fn new(deps: &Deps, store: &EventStore, vault: &Vault) -> Self {
        Self {
            owner: deps.clock.new_id(),
            deps: deps.clone(),
            store: store.clone(),
            vault: vault.clone(),
            locks: Locks::default(),
        }
    }

    /// Brings gateways to what is granted now. Idempotent, and repeated after any failure or crash.
    ///
    /// `named` are those in the APIs of the request, as they stand there: none (the only gateway) and unknown ones are
    /// allowed. What `request` needs decides about success: the rows of `grants` that it has while it is granted, or
    /// that it has not any more. What fails for others is logged, and their own matter.
    ///
    /// # Errors
    /// What the request needs is not there, or its access is not taken away.
    pub(crate) async fn synchronise(
        &self,
        named: &BTreeSet<Option<String>>,
        request: Uuid,
        context: &Context,
    ) -> Result<Mapped, MappingFailure> {
        let places = self.places().await?;
        let nothing = |why| Mapped {
            nothing: Some(why),
            ..Mapped::default()
        };
        if places.gateways.is_empty() {
            return Ok(nothing(Nothing::NoGateway));
        }
        let gateways = meant(named, &places);
        let mine = grants::of_request(self.pool(), request).await?;
        let mut failure = misplaced(&mine, &places);
        if gateways.is_empty() && failure.is_none() {
            return Ok(nothing(Nothing::NoApis));
        }
        let mut mapped = Mapped::default();
        for gateway in gateways {
            match self.at(gateway, Scope::Request(request), context).await {
                Ok(one) => {
                    mapped.changes.extend(one.changes);
                    mapped.warnings.extend(one.warnings);
                }
                Err(one) => failure = Some(one.at(gateway).and(failure)),
            }
        }
        failure.map_or(Ok(mapped), Err)
    }

    /// What mapping these grants too would change, for people. Writes nothing.
    pub(crate) async fn preview(&self, more: &[Grant]) -> Result<Vec<String>, MappingFailure> {
        let places = self.places().await?;
        if places.gateways.is_empty() {
            return Ok(vec![
                "No gateway is configured: nothing is mapped.".to_owned(),
            ]);
        }
        let mut lines = Vec::new();
        let mut at = BTreeSet::new();
        for api in more.iter().flat_map(|grant| &grant.apis) {
            match places.of(api) {
                ApiLocation::At(gateway) => {
                    at.insert(gateway);
                }
                place => lines.extend(failure::at(&api.api_id, place).map(|one| one.reason)),
            }
        }
        for gateway in at {
            let work = Work::survey(self, gateway, Scope::Whatever, more).await?;
            lines.extend(work.preview(more).await?);
        }
        Ok(lines)
    }

    /// Scopes of these grants that the clients of others may still hold, for people.
    pub(crate) async fn obstacles(&self, more: &[Grant]) -> Result<Vec<String>, sqlx::Error> {
        let holders = held_scopes::holders(self.pool()).await?;
        let held = more.iter().flat_map(|grant| grant.held_by_others(&holders));
        Ok(held
            .map(|clash| format!("The access waits, because {clash}."))
            .collect())
    }

    /// Takes away what nobody needs at a gateway any more, and whatever else is due there.
    ///
    /// # Errors
    /// The gateway cannot be reached. What fails at a single API is logged.
    pub(crate) async fn tidy_up(
        &self,
        gateway: Uuid,
        context: &Context,
    ) -> Result<Mapped, MappingFailure> {
        self.at(gateway, Scope::Whatever, context).await
    }

    /// Writes the APIs that take tokens of an identity provider anew, whose keys or scope claim have moved, and makes
    /// the gateway fetch its keys anew.
    ///
    /// # Errors
    /// The gateway cannot be reached, or does not fetch keys anew.
    pub(crate) async fn follow_provider(
        &self,
        gateway: Uuid,
        provider: Uuid,
        context: &Context,
    ) -> Result<(), MappingFailure> {
        self.at(gateway, Scope::Provider(provider), context).await?;
        self.refresh_keys(gateway).await.map(drop)
    }

    /// Makes a gateway fetch the keys anew for every API that Portico maps there. `false`: it cannot be told to.
    ///
    /// # Errors
    /// The gateway is not there, or says no.
    pub(crate) async fn refresh_keys(&self, gateway: Uuid) -> Result<bool, MappingFailure> {
        let recorded = view::recorded(self.pool(), gateway).await?;
        let mapped = recorded
            .into_iter()
            .filter(|(_, recorded)| !recorded.owned.entries.is_empty());
        let apis: BTreeSet<String> = mapped.map(|(api, _)| api).collect();
        let reached = self.reach(gateway).await?;
        Ok(reached.driver.flush_keys(&reached.session(), &apis).await?)
    }

    /// What is not at a gateway as Portico wrote it. Writes nothing.
    ///
    /// # Errors
    /// The gateway cannot be reached.
    pub(crate) async fn drift(&self, gateway: Uuid) -> Result<Vec<Drift>, MappingFailure> {
        self.alone(gateway, Scope::Repair, Work::drift).await
    }

    /// Writes everything again that somebody else changed of what Portico made.
    ///
    /// # Errors
    /// The gateway cannot be reached; what fails at single APIs is in the answer.
    pub(crate) async fn repair(
        &self,
        gateway: Uuid,
        context: &Context,
    ) -> Result<Mapped, MappingFailure> {
        self.at(gateway, Scope::Repair, context).await
    }

    /// A gateway to be asked something that writes no mapping.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) async fn reach(&self, gateway: Uuid) -> Result<Reached, MappingFailure> {
        let access = Access::of(self, gateway).await?;
        Ok(Reached {
            driver: access.driver()?,
            access,
            outgoing: self.deps.outgoing.clone(),
        })
    }

    async fn at(
        &self,
        gateway: Uuid,
        scope: Scope,
        context: &Context,
    ) -> Result<Mapped, MappingFailure> {
        let context = self.own(context);
        self.alone(gateway, scope, |work| work.run(&context)).await
    }

    /// Looks at a gateway and works there, while nobody else does.
    async fn alone<'a, T, F>(
        &'a self,
        gateway: Uuid,
        scope: Scope,
        work: impl FnOnce(Work<'a>) -> F,
    ) -> Result<T, MappingFailure>
    where
        F: Future<Output = Result<T, MappingFailure>>,
    {
        let work = async { work(Work::survey(self, gateway, scope, &[]).await?).await };
        self.locks.alone(gateway, self.lease(), work).await
    }

    /// Brings the policies of an API key to what product and plan say. Idempotent.
    ///
    /// # Errors
    /// The gateway refused, or cannot be reached.
    pub(crate) async fn write_key_policies(
        &self,
        gateway: Uuid,
        policies: &BTreeSet<String>,
        api_ids: &[String],
    ) -> Result<(), MappingFailure> {
        self.alone(gateway, Scope::Whatever, |work| {
            work.write_key_policies(policies, api_ids)
        })
        .await
    }

    /// Removes policies of keys that nothing leads to any more.
    ///
    /// # Errors
    /// As [`Mapper::write_key_policies`].
    pub(crate) async fn tidy_key_policies(
        &self,
        gateway: Uuid,
        policies: &BTreeSet<String>,
    ) -> Result<(), MappingFailure> {
        self.alone(gateway, Scope::Whatever, |work| {
            work.tidy_key_policies(policies)
        })
        .await
    }

    /// Where these APIs are: ids by gateway.
    ///
    /// # Errors
    /// One is at no gateway that is known.
    pub(crate) async fn located(
        &self,
        apis: &[Api],
    ) -> Result<BTreeMap<Uuid, Vec<String>>, MappingFailure> {
        let places = self.places().await?;
        let mut located: BTreeMap<Uuid, Vec<String>> = BTreeMap::new();
        for api in apis {
            match places.of(api) {
                ApiLocation::At(gateway) => {
                    let ids = located.entry(gateway).or_default();
                    ids.push(api.api_id.clone());
                }
                ApiLocation::NoGateway => {
                    return Err(MappingFailure::fail(
                        GATEWAY_MISSING,
                        "No gateway is configured that could give an API key.",
                    ));
                }
                place => {
                    if let Some(failure) = failure::at(&api.api_id, place) {
                        return Err(failure);
                    }
                }
            }
        }
        Ok(located)
    }

    fn lease(&self) -> (&Database, Uuid, &Clock) {
        (self.store.database(), self.owner, &self.deps.clock)
    }

    /// Ids of events are derived from it, and a repetition may have other events.
    fn own(&self, context: &Context) -> Context {
        Context {
            now: self.deps.clock.now(),
            command_id: self.deps.clock.new_id(),
            ..context.clone()
        }
    }

    async fn places(&self) -> Result<ApiLocations, MappingFailure> {
        Ok(view::places(self.pool()).await?)
    }

    fn pool(&self) -> &AnyPool {
        self.store.database().pool()
    }
}

/// The gateways that are meant.
fn meant(named: &BTreeSet<Option<String>>, places: &ApiLocations) -> BTreeSet<Uuid> {
    let mut gateways = BTreeSet::new();
    for id in named {
        match id.as_ref().map(|id| id.parse::<Uuid>()) {
            // Any of them, if there are several: the work finds out.
            None => gateways.extend(&places.gateways),
            Some(Ok(id)) if places.gateways.contains(&id) => {
                gateways.insert(id);
            }
            Some(_) => {}
        }
    }
    gateways
}
