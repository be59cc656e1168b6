//! Writing: policies first, then the definitions that lead to them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::control::Control;
use super::definition::{self, Merged};
use super::http::UNREACHABLE;
use super::{look, no_operation, policy};
use crate::gateways::{
    ApiChanges, Disposition, Failure, GatewaySession, Mapping, NO_OPERATION, PolicyKind,
    PolicyState, WantedApi, WantedKey, WantedPolicy,
};

/// How ids of policies begin that Portico makes.
const OURS: &str = "portico-";

/// A gateway that gave no answer at all is not asked for each thing anew: every one would wait until its deadline.
pub(super) async fn unless<T>(
    away: &mut Option<Failure>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    if let Some(failure) = away {
        return Err(failure.clone());
    }
    let done = work.await;
    if let Err(failure) = &done
        && failure.code == UNREACHABLE
    {
        *away = Some(failure.clone());
    }
    done
}

pub(super) struct Work<'a> {
    control: &'a dyn Control,
    session: &'a GatewaySession<'a>,
    /// Whether a reload is needed.
    pub(super) written: bool,
    /// Those that were looked for.
    pub(super) policies: BTreeMap<String, Result<(), Failure>>,
}

impl<'a> Work<'a> {
    pub(super) fn new(control: &'a dyn Control, session: &'a GatewaySession<'a>) -> Self {
        Self {
            control,
            session,
            written: false,
            policies: BTreeMap::new(),
        }
    }

    /// What [`Work::api`] would do. Policies that Portico makes are taken to be there.
    pub(super) async fn plan(&mut self, wanted: &WantedApi) -> Result<ApiChanges, Failure> {
        let stale = self
            .stale(wanted, |policy| policy.starts_with(OURS))
            .await?;
        match self.merged(wanted, &stale).await? {
            Some(merged) => Ok(with(merged.changes, stale)),
            None => definition::gone(wanted),
        }
    }

    pub(super) async fn api(&mut self, wanted: &WantedApi) -> Result<ApiChanges, Failure> {
        let stale = self.stale(wanted, |_| false).await?;
        let Some(Merged {
            definition,
            changes,
        }) = self.merged(wanted, &stale).await?
        else {
            return definition::gone(wanted);
        };
        if !changes.changes.is_empty() {
            // Also where the answer is lost: it may have been written.
            self.written = true;
            self.control.replace_api(&wanted.api_id, definition).await?;
        }
        Ok(with(changes, stale))
    }

    /// Whether what was written is in force.
    pub(super) async fn read_back(
        &self,
        wanted: &WantedApi,
        stale: &Mapping,
    ) -> Result<(), Failure> {
        match self.merged(wanted, stale).await? {
            Some(merged) if !merged.changes.changes.is_empty() => Err(Failure::new(
                Disposition::Retry,
                "gateway_change_not_in_force",
                "the gateway took the change, but it is not in force after a reload",
            )),
            _ => Ok(()),
        }
    }

    pub(super) async fn policy(&mut self, wanted: &WantedPolicy) -> Result<(), Failure> {
        if wanted.kind == PolicyKind::NoOperation {
            self.no_operation_api(wanted).await?;
        }
        let (found, merged) = self.merged_policy(wanted).await?;
        let Some(policy) = merged else {
            return Ok(());
        };
        self.written = true;
        match found {
            Some(_) => self.control.replace_policy(&wanted.id, policy).await,
            None => self.control.create_policy(policy).await,
        }
    }

    pub(super) async fn compare(&self, wanted: &WantedPolicy) -> Result<PolicyState, Failure> {
        if wanted.kind == PolicyKind::NoOperation && self.control.api(NO_OPERATION).await?.is_none()
        {
            return Ok(PolicyState::Missing);
        }
        let (found, merged) = self.merged_policy(wanted).await?;
        Ok(policy::state(found.as_ref(), merged.as_ref()))
    }

    pub(super) async fn remove_policy(&mut self, id: &str) -> Result<(), Failure> {
        let found = self.control.policy(id).await?;
        if !found.is_some_and(|policy| policy::is_ours(&policy)) {
            return Ok(());
        }
        self.written = true;
        self.control.delete_policy(id).await
    }

    /// Of a key to be created, and the headers for [`CreatedKey::headers`]. What it may do is said by policies alone.
    ///
    /// [`CreatedKey::headers`]: crate::gateways::CreatedKey::headers
    pub(super) async fn key_session(
        &self,
        wanted: &WantedKey,
    ) -> Result<(Value, BTreeMap<String, String>), Failure> {
        let mut headers = BTreeMap::new();
        let mut org_id = self.session.org_id.to_owned();
        for id in &wanted.api_ids {
            let Some(api) = self.control.api(id).await? else {
                // Its key would open nothing.
                let why = format!("the API {id} is not at the gateway");
                return Err(Failure::fail("api_not_at_gateway", why));
            };
            headers.extend(look::key_header(&api).map(|header| (id.clone(), header)));
            belongs(&api, &mut org_id);
        }
        for id in &wanted.policies {
            if self.control.policy(id).await?.is_none() {
                return Err(policy_missing(id));
            }
        }
        let session = json!({
            "org_id": org_id,
            "apply_policies": wanted.policies,
            "alias": wanted.marker,
            "meta_data": {"portico_marker": wanted.marker},
            "tags": [policy::TAG],
            "expires": 0,
        });
        Ok((session, headers))
    }

    /// The policy that is there, and what it has to become; `None` where it is that already.
    async fn merged_policy(
        &self,
        wanted: &WantedPolicy,
    ) -> Result<(Option<Value>, Option<Value>), Failure> {
        let (apis, org_id) = self.named(&wanted.api_ids).await?;
        let found = self.control.policy(&wanted.id).await?;
        let merged = policy::merge(found.as_ref(), wanted, &apis, &org_id);
        Ok((found, merged))
    }

    /// Ids of APIs with their names, and their organisation. A product may list an API that the gateway has no more.
    async fn named(&self, ids: &[String]) -> Result<(Vec<(String, String)>, String), Failure> {
        let mut apis = Vec::new();
        let mut org_id = self.session.org_id.to_owned();
        for id in ids {
            if let Some(api) = self.control.api(id).await? {
                let name = api["name"].as_str().unwrap_or(id);
                apis.push((id.clone(), name.to_owned()));
                belongs(&api, &mut org_id);
            }
        }
        Ok((apis, org_id))
    }

    async fn no_operation_api(&mut self, wanted: &WantedPolicy) -> Result<(), Failure> {
        if self.control.api(NO_OPERATION).await?.is_some() {
            return Ok(());
        }
        let (_, org_id) = self.named(&wanted.api_ids).await?;
        self.written = true;
        self.control.create_api(no_operation::api(&org_id)).await
    }

    /// A scope that leads to a policy that is not there would lock callers out.
    async fn stale(
        &mut self,
        wanted: &WantedApi,
        trusted: impl Fn(&str) -> bool,
    ) -> Result<Mapping, Failure> {
        let mut stale = Mapping::new();
        for (scope, id) in &wanted.entries {
            if trusted(id) {
                continue;
            }
            if !self.policies.contains_key(id) {
                let found = self.control.policy(id).await?;
                let found = found.map(drop).ok_or_else(|| policy_missing(id));
                self.policies.insert(id.clone(), found);
            }
            match self.policies.get(id) {
                Some(Err(failure)) if failure.code == MISSING => {
                    stale.insert(scope.clone(), id.clone());
                }
                Some(Err(failure)) => return Err(failure.clone()),
                _ => {}
            }
        }
        Ok(stale)
    }

    /// `None` where the API is not there.
    async fn merged(&self, wanted: &WantedApi, stale: &Mapping) -> Result<Option<Merged>, Failure> {
        let mut wanted = wanted.clone();
        wanted.entries.retain(|scope, _| !stale.contains_key(scope));
        let found = self.control.api(&wanted.api_id).await?;
        found
            .map(|found| definition::merge(&found, &wanted, self.session.default_policy_id))
            .transpose()
    }
}

/// The first API says whose organisation it is, where the settings do not.
fn belongs(api: &Value, org_id: &mut String) {
    if org_id.is_empty() {
        let found = api["org_id"].as_str().unwrap_or_default();
        found.clone_into(org_id);
    }
}

fn with(changes: ApiChanges, stale: Mapping) -> ApiChanges {
    ApiChanges { stale, ..changes }
}

const MISSING: &str = "policy_not_at_gateway";

pub(super) fn policy_missing(id: &str) -> Failure {
    Failure::fail(MISSING, format!("the policy {id} is not at the gateway"))
}
