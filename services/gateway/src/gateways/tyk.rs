//! The Tyk gateway, by its own control API ([`OPEN_SOURCE`]) or by its Dashboard's ([`DASHBOARD`]).
//!
//! A policy's organisation must be that of the API. A definition is replaced as a whole, so it is read first, and so
//! nobody else may write it in between.
//!
//! - `control`: what is needed of a control API; `open_source`, `dashboard`: the two there are; `http`: their calls
//! - `definition`, `policy`: merging, pure
//! - `work`: writing; `keys`: API keys; `look`: inventory
//! - `decision`: what the gateway would say to a token, pure

mod control;
mod dashboard;
mod decision;
mod definition;
mod http;
mod look;
mod no_operation;
mod open_source;
mod policy;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    ApiChanges, CreatedKey, Failure, Gateway, GatewaySession, Inventory, NO_OPERATION, PerApi,
    PolicyState, Presented, Simulation, Wanted, WantedKey, WantedPolicy,
};
use control::Control;
use work::{Work, policy_missing, unless};

/// By the control API of the gateway itself.
pub static OPEN_SOURCE: Tyk = Tyk { dashboard: false };
/// By the API of the Dashboard, which the gateways follow by themselves.
pub static DASHBOARD: Tyk = Tyk { dashboard: true };

/// Driver for Tyk Gateway and Tyk Dashboard.
#[derive(Debug)]
pub struct Tyk {
    dashboard: bool,
}

impl Tyk {
    fn open<'a>(&self, session: &'a GatewaySession<'a>) -> Box<dyn Control + 'a> {
        if self.dashboard {
            Box::new(dashboard::Dashboard::open(session))
        } else {
            Box::new(open_source::OpenSource::open(session))
        }
    }
}

#[async_trait]
impl Gateway for Tyk {
    async fn check(&self, session: &GatewaySession<'_>) -> Result<(), Failure> {
        let control = self.open(session);
        control.hello().await?;
        let id = session.default_policy_id;
        // Portico makes its own where it is needed.
        let given = !id.is_empty() && id != NO_OPERATION;
        if given && control.policy(id).await?.is_none() {
            return Err(policy_missing(id));
        }
        Ok(())
    }

    async fn plan(&self, session: &GatewaySession<'_>, wanted: &Wanted) -> PerApi {
        let control = self.open(session);
        let mut work = Work::new(&*control, session);
        let mut planned = PerApi::new();
        let mut away = None;
        for api in &wanted.apis {
            let plan = unless(&mut away, work.plan(api)).await;
            planned.insert(api.api_id.clone(), plan);
        }
        planned
    }

    async fn compare_policies(
        &self,
        session: &GatewaySession<'_>,
        policies: &[WantedPolicy],
    ) -> BTreeMap<String, Result<PolicyState, Failure>> {
        let control = self.open(session);
        let work = Work::new(&*control, session);
        let mut away = None;
        let mut compared = BTreeMap::new();
        for wanted in policies {
            let state = unless(&mut away, work.compare(wanted)).await;
            compared.insert(wanted.id.clone(), state);
        }
        compared
    }

    async fn apply(&self, session: &GatewaySession<'_>, wanted: &Wanted) -> PerApi {
        let control = self.open(session);
        let mut work = Work::new(&*control, session);
        let mut away = None;
        for policy in &wanted.policies {
            let done = unless(&mut away, work.policy(policy)).await;
            work.policies.insert(policy.id.clone(), done);
        }
        let mut done = PerApi::new();
        for api in &wanted.apis {
            let written = unless(&mut away, work.api(api)).await;
            done.insert(api.api_id.clone(), written);
        }
        if !work.written {
            return done;
        }
        if let Err(failure) = control.reload().await {
            // What was not changed is in force; the rest may or may not be.
            for result in done.values_mut() {
                *result = Err(failure.clone());
            }
            return done;
        }
        for api in &wanted.apis {
            if let Some(result) = done.get_mut(&api.api_id)
                && let Ok(ApiChanges { stale, .. }) = result
                && let Err(failure) = work.read_back(api, stale).await
            {
                *result = Err(failure);
            }
        }
        done
    }

    async fn remove_policies(
        &self,
        session: &GatewaySession<'_>,
        ids: &BTreeSet<String>,
    ) -> BTreeMap<String, Result<(), Failure>> {
        let control = self.open(session);
        let mut work = Work::new(&*control, session);
        let mut done = BTreeMap::new();
        for id in ids {
            done.insert(id.clone(), work.remove_policy(id).await);
        }
        if work.written
            && let Err(failure) = control.reload().await
        {
            for result in done.values_mut() {
                *result = Err(failure.clone());
            }
        }
        done
    }

    async fn flush_keys(
        &self,
        session: &GatewaySession<'_>,
        api_ids: &BTreeSet<String>,
    ) -> Result<bool, Failure> {
        self.open(session).flush_keys(api_ids).await
    }

    async fn inventory(&self, session: &GatewaySession<'_>) -> Result<Inventory, Failure> {
        let control = self.open(session);
        let (apis, policies) = (control.apis().await?, control.policies().await?);
        Ok(look::inventory(&apis, &policies))
    }

    async fn simulate(
        &self,
        session: &GatewaySession<'_>,
        api_id: &str,
        presented: &Presented,
        now_seconds: i64,
    ) -> Result<Option<Simulation>, Failure> {
        let control = self.open(session);
        let Some(api) = control.api(api_id).await? else {
            return Ok(None);
        };
        let claims = &claims(&api, presented);
        let mut policies = BTreeMap::new();
        for id in decision::policies_of(&api, claims) {
            if let Some(policy) = control.policy(&id).await? {
                policies.insert(id, policy);
            }
        }
        Ok(Some(decision::decide(&api, &policies, claims, now_seconds)))
    }

    async fn write_policies(
        &self,
        session: &GatewaySession<'_>,
        policies: &[WantedPolicy],
    ) -> Result<(), Failure> {
        let control = self.open(session);
        let mut work = Work::new(&*control, session);
        for policy in policies {
            work.policy(policy).await?;
        }
        if work.written {
            control.reload().await?;
        }
        Ok(())
    }

    async fn create_key(
        &self,
        session: &GatewaySession<'_>,
        wanted: &WantedKey,
    ) -> Result<CreatedKey, Failure> {
        let control = self.open(session);
        let work = Work::new(&*control, session);
        let (session, headers) = work.key_session(wanted).await?;
        let created = control.create_key(session).await?;
        Ok(CreatedKey { headers, ..created })
    }

    async fn find_keys(
        &self,
        session: &GatewaySession<'_>,
        marker: &str,
    ) -> Result<Vec<String>, Failure> {
        let control = self.open(session);
        let mut found = Vec::new();
        for hash in control.key_hashes().await? {
            let key = control.key(&hash).await?.unwrap_or_default();
            // The Dashboard wraps it.
            let alias = [&key["alias"], &key["data"]["alias"]];
            if alias.iter().any(|alias| **alias == marker) {
                found.push(hash);
            }
        }
        Ok(found)
    }

    async fn has_key(&self, session: &GatewaySession<'_>, hash: &str) -> Result<bool, Failure> {
        Ok(self.open(session).key(hash).await?.is_some())
    }

    async fn delete_key(&self, session: &GatewaySession<'_>, hash: &str) -> Result<(), Failure> {
        self.open(session).delete_key(hash).await
    }
}

/// A member that is text; empty where there is none.
fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// Of a token that the API gets.
fn claims(api: &Value, presented: &Presented) -> Map<String, Value> {
    match presented {
        Presented::Claims(claims) => claims.clone(),
        Presented::Scopes(scopes) => {
            let mut claims = Map::from_iter([("sub".to_owned(), "simulated".into())]);
            if !scopes.is_empty() {
                let claim = definition::scope_claim(api).to_owned();
                claims.insert(claim, scopes.join(" ").into());
            }
            claims
        }
    }
}

#[cfg(test)]
mod tests;
