//! Keeps gateways in step with what is granted: the scopes of approved products and
//! plans are mapped to policies where they are wanted, and only there.
//!
//! - [`grants`]: what is granted, and at which gateway
//! - [`wanted`]: what a gateway should have by that, pure
//! - [`ownership`]: aggregate: what Portico owns at one API
//! - `work`: plan, record the intent, write, record what was written
//! - `keys`: gateways follow when a provider's keys change
//! - `lock`: one piece of work at a time for each gateway

pub(crate) mod grants;
mod keys;
mod lock;
pub(crate) mod ownership;
pub(crate) mod wanted;
mod work;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portico_eventstore::sqlx::{self, AnyPool};
use portico_eventstore::{Context, EventStore, ExecuteError, StoreError};
use portico_runtime::Deps;
use portico_vault::{Vault, VaultError};
use uuid::Uuid;

use crate::providers::{Disposition, Failure};
use crate::views::gateways as view;
use grants::{Grant, GrantedApi, Place, Places};
use lock::{LeaseOf, Locks};
pub(crate) use work::Drift;
use work::Work;

/// Why nothing was to be mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skipped {
    /// No gateway is configured.
    NoGateway,
    /// The products have no APIs.
    NoApis,
}

/// The gateways are as the requests need them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mapped {
    /// Nothing was to be done, and why.
    pub(crate) skipped: Option<Skipped>,
    /// What was changed, for people; empty: it was so already.
    pub(crate) changes: Vec<String>,
    /// What could not be tidied up, for people. It harms nobody.
    pub(crate) warnings: Vec<String>,
    /// APIs that could not be written, and why, whether they were asked for or not.
    pub(crate) failed: BTreeMap<String, String>,
}

/// The gateways are not as the requests need them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {reason}")]
pub(crate) struct MappingFailure {
    /// Whether doing it again may help; otherwise somebody must change something.
    pub(crate) retry: bool,
    /// A stable word.
    pub(crate) code: String,
    /// For people; holds no secret.
    pub(crate) reason: String,
    /// What the gateway asked for.
    pub(crate) retry_after: Option<Duration>,
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
    pub(crate) driver: &'static dyn crate::gateways::Gateway,
    access: work::Access,
    outgoing: portico_runtime::Outgoing,
}

impl Reached {
    pub(crate) fn session(&self) -> crate::gateways::GatewaySession<'_> {
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

    /// Brings gateways to what is granted now. Idempotent, and repeated after any
    /// failure or crash.
    ///
    /// `gateway_ids` are those in the APIs of the requests, as they stand there: empty
    /// ones, repeated ones and unknown ones are allowed. What `requests` need decides
    /// about success: the rows of `grants` that an approved one has, or that a revoked
    /// one has not any more. What fails for others is logged, and their own matter.
    ///
    /// # Errors
    /// What the requests need is not there, or their access is not taken away.
    pub(crate) async fn synchronise(
        &self,
        gateway_ids: &[String],
        requests: &[Uuid],
        context: &Context,
    ) -> Result<Mapped, MappingFailure> {
        let places = self.places().await?;
        let skipped = |why| Mapped {
            skipped: Some(why),
            ..Mapped::default()
        };
        if places.gateways.is_empty() {
            return Ok(skipped(Skipped::NoGateway));
        }
        let gateways = named(gateway_ids, &places);
        let mine = grants::of_requests(self.pool(), requests).await?;
        let mut failure = misplaced(&mine, &places);
        if gateways.is_empty() && failure.is_none() {
            return Ok(skipped(Skipped::NoApis));
        }
        let mut mapped = Mapped::default();
        for gateway in gateways {
            match self.at(gateway, requests, context).await {
                Ok(one) => {
                    mapped.changes.extend(one.changes);
                    mapped.warnings.extend(one.warnings);
                }
                Err(one) => failure = Some(one.and(failure)),
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
                Place::At(gateway) => {
                    at.insert(gateway);
                }
                place => lines.extend(failure_at(&api.api_id, place).map(|one| one.reason)),
            }
        }
        for gateway in at {
            let work = Work::survey(self, gateway, &[], more).await?;
            lines.extend(work.preview(more).await?);
        }
        Ok(lines)
    }

    /// Takes away what nobody needs at a gateway any more, and whatever else is due
    /// there.
    ///
    /// # Errors
    /// The gateway cannot be reached. What fails at a single API is logged.
    pub(crate) async fn tidy_up(
        &self,
        gateway: Uuid,
        context: &Context,
    ) -> Result<Mapped, MappingFailure> {
        self.at(gateway, &[], context).await
    }

    /// What is not at a gateway as Portico wrote it. Writes nothing.
    ///
    /// # Errors
    /// The gateway cannot be reached.
    pub(crate) async fn drift(&self, gateway: Uuid) -> Result<Vec<Drift>, MappingFailure> {
        let work = async {
            let work = Work::survey(self, gateway, &[], &[]).await?;
            work.repairing().drift().await
        };
        self.locks.alone(gateway, &self.lease(), work).await
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
        let context = self.own(context);
        let work = async {
            let work = Work::survey(self, gateway, &[], &[]).await?;
            work.repairing().run(&context).await
        };
        self.locks.alone(gateway, &self.lease(), work).await
    }

    /// A gateway to be asked something that writes no mapping.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) async fn reach(&self, gateway: Uuid) -> Result<Reached, MappingFailure> {
        let access = work::Access::of(self, gateway).await?;
        Ok(Reached {
            driver: access.driver()?,
            access,
            outgoing: self.deps.outgoing.clone(),
        })
    }

    async fn at(
        &self,
        gateway: Uuid,
        requests: &[Uuid],
        context: &Context,
    ) -> Result<Mapped, MappingFailure> {
        let context = self.own(context);
        let work = async {
            let work = Work::survey(self, gateway, requests, &[]).await?;
            work.run(&context).await
        };
        self.locks.alone(gateway, &self.lease(), work).await
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
        let work = async {
            let work = Work::survey(self, gateway, &[], &[]).await?;
            work.write_key_policies(policies, api_ids).await
        };
        self.locks.alone(gateway, &self.lease(), work).await
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
        let work = async {
            let work = Work::survey(self, gateway, &[], &[]).await?;
            work.tidy_key_policies(policies).await
        };
        self.locks.alone(gateway, &self.lease(), work).await
    }

    /// Where these APIs are: ids by gateway.
    ///
    /// # Errors
    /// One is at no gateway that is known.
    pub(crate) async fn located(
        &self,
        apis: &[GrantedApi],
    ) -> Result<BTreeMap<Uuid, Vec<String>>, MappingFailure> {
        let places = self.places().await?;
        let mut located: BTreeMap<Uuid, Vec<String>> = BTreeMap::new();
        for api in apis {
            match places.of(api) {
                Place::At(gateway) => {
                    let ids = located.entry(gateway).or_default();
                    ids.push(api.api_id.clone());
                }
                Place::NoGateway => {
                    return Err(MappingFailure::fail(
                        "gateway_missing",
                        "No gateway is configured that could give an API key.",
                    ));
                }
                place => {
                    if let Some(failure) = failure_at(&api.api_id, place) {
                        return Err(failure);
                    }
                }
            }
        }
        Ok(located)
    }

    fn lease(&self) -> LeaseOf<'_> {
        LeaseOf {
            database: self.store.database(),
            owner: self.owner,
            clock: &self.deps.clock,
        }
    }

    /// Ids of events are derived from it, and a repetition may have other events.
    fn own(&self, context: &Context) -> Context {
        Context {
            now: self.deps.clock.now(),
            command_id: self.deps.clock.new_id(),
            ..context.clone()
        }
    }

    async fn places(&self) -> Result<Places, MappingFailure> {
        Ok(view::places(self.pool()).await?)
    }

    fn pool(&self) -> &AnyPool {
        self.store.database().pool()
    }
}

/// The gateways that are meant.
fn named(gateway_ids: &[String], places: &Places) -> BTreeSet<Uuid> {
    let mut gateways = BTreeSet::new();
    for id in gateway_ids {
        if id.is_empty() {
            // Any of them, if there are several: the work finds out.
            gateways.extend(&places.gateways);
        } else if let Ok(id) = id.parse::<Uuid>()
            && places.gateways.contains(&id)
        {
            gateways.insert(id);
        }
    }
    gateways
}

/// What is granted by the requests at no gateway there is.
fn misplaced(mine: &BTreeMap<Uuid, Vec<Grant>>, places: &Places) -> Option<MappingFailure> {
    let apis = mine.values().flatten().flat_map(|grant| &grant.apis);
    apis.filter_map(|api| failure_at(&api.api_id, places.of(api)))
        .next()
}

fn failure_at(api: &str, place: Place) -> Option<MappingFailure> {
    match place {
        Place::At(_) | Place::NoGateway => None,
        Place::Unknown => Some(MappingFailure::fail(
            "gateway_not_found",
            format!("The product's API {api} names a gateway that is not there."),
        )),
        Place::Ambiguous => Some(MappingFailure::fail(
            "gateway_ambiguous",
            format!("The product's API {api} names no gateway, and there are several."),
        )),
    }
}

impl MappingFailure {
    pub(crate) fn retry(code: &str, reason: impl Into<String>) -> Self {
        Self {
            retry: true,
            ..Self::fail(code, reason)
        }
    }

    pub(crate) fn fail(code: &str, reason: impl Into<String>) -> Self {
        Self {
            retry: false,
            code: code.to_owned(),
            reason: reason.into(),
            retry_after: None,
        }
    }

    /// Of an API.
    fn of_api(api: &str, failure: &Failure) -> Self {
        Self {
            retry: failure.disposition == Disposition::Retry,
            code: failure.code.clone(),
            reason: format!("API {api}: {}", failure.description),
            retry_after: failure.retry_after,
        }
    }

    /// One of two: what may go well by itself is waited for first.
    fn and(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.retry && !self.retry => other,
            _ => self,
        }
    }
}

impl From<Failure> for MappingFailure {
    fn from(failure: Failure) -> Self {
        Self {
            retry: failure.disposition == Disposition::Retry,
            reason: failure.description,
            code: failure.code,
            retry_after: failure.retry_after,
        }
    }
}

impl From<sqlx::Error> for MappingFailure {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<StoreError> for MappingFailure {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "the store failed while mapping");
        Self::retry("store_unavailable", "Portico's database failed.")
    }
}

impl From<VaultError> for MappingFailure {
    fn from(error: VaultError) -> Self {
        tracing::warn!(%error, "the vault failed while mapping");
        Self::retry("store_unavailable", "Portico's vault failed.")
    }
}

impl<R: std::error::Error> From<ExecuteError<R>> for MappingFailure {
    fn from(error: ExecuteError<R>) -> Self {
        match error {
            ExecuteError::Store(error) => error.into(),
            other => {
                tracing::error!(error = %other, "the record of a mapping was refused");
                Self::retry("store_unavailable", "Portico's record was refused.")
            }
        }
    }
}
