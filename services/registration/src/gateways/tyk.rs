//! The open-source control API of the Tyk gateway (`/tyk/`).
//!
//! What is written takes effect at a reload. A policy's organisation must be that
//! of the API. `PUT /tyk/apis/{id}` replaces the whole definition, so it is read
//! first, and so nobody else may write it in between.

mod definition;
mod policy;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use portico_runtime::outgoing::{OutgoingError, OutgoingRequest};
use serde_json::Value;
use url::Url;

use super::{
    ApiChanges, Gateway, GatewaySession, PerApi, PolicyState, Wanted, WantedApi, WantedPolicy,
};
use crate::providers::failure::sanitized;
use crate::providers::{Disposition, Failure};
use definition::Merged;

/// The code where a call got no answer.
const UNREACHABLE: &str = "gateway_unreachable";

/// The driver.
pub struct Tyk;

#[async_trait]
impl Gateway for Tyk {
    /// By asking for an API that cannot be there: a list of all might be large.
    async fn check(&self, session: &GatewaySession<'_>) -> Result<(), Failure> {
        let path = ["tyk", "apis", "portico-connection-test"];
        let (status, body) = call(session, Method::GET, &path, None).await?;
        match status {
            200 | 404 if body["status"] == "error" || body["api_id"].is_string() => {}
            200 | 404 => {
                return Err(Failure::new(
                    Disposition::Fail,
                    "gateway_answer_invalid",
                    "the URL answers, but not as the control API of a Tyk gateway does",
                ));
            }
            _ => return Err(refused(status, &body)),
        }
        let id = session.default_policy_id;
        if !id.is_empty() && get(session, "policies", id).await?.is_none() {
            return Err(policy_missing(id));
        }
        Ok(())
    }

    async fn plan(&self, session: &GatewaySession<'_>, wanted: &Wanted) -> PerApi {
        let mut planned = PerApi::new();
        let mut away = None;
        for api in &wanted.apis {
            let plan = async {
                let merged = read_and_merge(session, api).await?;
                changes(api, merged)
            };
            planned.insert(api.api_id.clone(), unless(&mut away, plan).await);
        }
        planned
    }

    async fn compare_policies(
        &self,
        session: &GatewaySession<'_>,
        policies: &[WantedPolicy],
    ) -> BTreeMap<String, Result<PolicyState, Failure>> {
        let mut away = None;
        let mut compared = BTreeMap::new();
        for wanted in policies {
            let state = async {
                let (found, merged) = merged_policy(session, wanted).await?;
                Ok(policy::state(found.as_ref(), merged.as_ref()))
            };
            compared.insert(wanted.id.clone(), unless(&mut away, state).await);
        }
        compared
    }

    async fn apply(&self, session: &GatewaySession<'_>, wanted: &Wanted) -> PerApi {
        let mut work = Work {
            session,
            written: false,
            policies: BTreeMap::new(),
        };
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
        if let Err(failure) = reload(session).await {
            // What was not changed is in force; the rest may or may not be.
            for result in done.values_mut() {
                *result = Err(failure.clone());
            }
            return done;
        }
        for api in &wanted.apis {
            if let Some(result @ Ok(_)) = done.get_mut(&api.api_id)
                && let Err(failure) = read_back(session, api).await
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
        let mut work = Work {
            session,
            written: false,
            policies: BTreeMap::new(),
        };
        let mut done = BTreeMap::new();
        for id in ids {
            done.insert(id.clone(), work.remove_policy(id).await);
        }
        if work.written
            && let Err(failure) = reload(session).await
        {
            for result in done.values_mut() {
                *result = Err(failure.clone());
            }
        }
        done
    }
}

/// A gateway that gave no answer at all is not asked for each thing anew: every one
/// would wait until its deadline.
async fn unless<T>(
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

struct Work<'a> {
    session: &'a GatewaySession<'a>,
    /// Whether a reload is needed.
    written: bool,
    policies: BTreeMap<String, Result<(), Failure>>,
}

impl Work<'_> {
    async fn policy(&mut self, wanted: &WantedPolicy) -> Result<(), Failure> {
        let (found, merged) = merged_policy(self.session, wanted).await?;
        let Some(policy) = merged else {
            return Ok(());
        };
        let (method, path) = match found {
            Some(_) => (Method::PUT, vec!["tyk", "policies", &wanted.id]),
            None => (Method::POST, vec!["tyk", "policies"]),
        };
        self.write(method, &path, policy).await
    }

    async fn api(&mut self, wanted: &WantedApi) -> Result<ApiChanges, Failure> {
        self.policies_are_there(wanted).await?;
        let Some(Merged {
            definition,
            changes,
        }) = read_and_merge(self.session, wanted).await?
        else {
            return definition::gone(wanted);
        };
        if !changes.changes.is_empty() {
            let path = ["tyk", "apis", &wanted.api_id];
            self.write(Method::PUT, &path, definition).await?;
        }
        Ok(changes)
    }

    /// A scope that leads to a policy that is not there would lock callers out.
    async fn policies_are_there(&mut self, wanted: &WantedApi) -> Result<(), Failure> {
        for id in wanted.entries.values() {
            if !self.policies.contains_key(id) {
                let found = get(self.session, "policies", id).await?;
                let found = found.map(drop).ok_or_else(|| policy_missing(id));
                self.policies.insert(id.clone(), found);
            }
            if let Some(Err(failure)) = self.policies.get(id) {
                return Err(failure.clone());
            }
        }
        Ok(())
    }

    async fn remove_policy(&mut self, id: &str) -> Result<(), Failure> {
        let found = get(self.session, "policies", id).await?;
        if !found.is_some_and(|policy| policy::is_ours(&policy)) {
            return Ok(());
        }
        self.written = true;
        let path = ["tyk", "policies", id];
        let (status, body) = call(self.session, Method::DELETE, &path, None).await?;
        match status {
            200..=299 | 404 => Ok(()),
            _ => Err(refused(status, &body)),
        }
    }

    async fn write(&mut self, method: Method, path: &[&str], body: Value) -> Result<(), Failure> {
        // Also where the answer is lost: it may have been written.
        self.written = true;
        let (status, body) = call(self.session, method, path, Some(body)).await?;
        match status {
            200..=299 => Ok(()),
            _ => Err(refused(status, &body)),
        }
    }
}

/// The policy that is there, and what it has to become; `None` where it is that already.
async fn merged_policy(
    session: &GatewaySession<'_>,
    wanted: &WantedPolicy,
) -> Result<(Option<Value>, Option<Value>), Failure> {
    let mut apis = Vec::new();
    let mut org_id = session.org_id.to_owned();
    for id in &wanted.api_ids {
        // A product may list an API that the gateway has no more.
        if let Some(api) = get(session, "apis", id).await? {
            let name = api["name"].as_str().unwrap_or(id);
            apis.push((id.clone(), name.to_owned()));
            if org_id.is_empty() {
                api["org_id"]
                    .as_str()
                    .unwrap_or_default()
                    .clone_into(&mut org_id);
            }
        }
    }
    let found = get(session, "policies", &wanted.id).await?;
    let merged = policy::merge(found.as_ref(), wanted, &apis, &org_id);
    Ok((found, merged))
}

fn changes(wanted: &WantedApi, merged: Option<Merged>) -> Result<ApiChanges, Failure> {
    match merged {
        Some(merged) => Ok(merged.changes),
        None => definition::gone(wanted),
    }
}

/// `None` where the API is not there.
async fn read_and_merge(
    session: &GatewaySession<'_>,
    wanted: &WantedApi,
) -> Result<Option<Merged>, Failure> {
    let found = get(session, "apis", &wanted.api_id).await?;
    found
        .map(|found| definition::merge(&found, wanted, session.default_policy_id))
        .transpose()
}

fn policy_missing(id: &str) -> Failure {
    Failure::new(
        Disposition::Fail,
        "policy_not_at_gateway",
        format!("the policy {id} is not at the gateway"),
    )
}

/// Whether what was written is in force.
async fn read_back(session: &GatewaySession<'_>, wanted: &WantedApi) -> Result<(), Failure> {
    match read_and_merge(session, wanted).await? {
        Some(merged) if !merged.changes.changes.is_empty() => Err(Failure::new(
            Disposition::Retry,
            "gateway_change_not_in_force",
            "the gateway took the change, but it is not in force after a reload",
        )),
        _ => Ok(()),
    }
}

async fn reload(session: &GatewaySession<'_>) -> Result<(), Failure> {
    let (status, body) = call(session, Method::GET, &["tyk", "reload"], None).await?;
    match status {
        200..=299 => Ok(()),
        _ => Err(refused(status, &body)),
    }
}

async fn get(
    session: &GatewaySession<'_>,
    collection: &str,
    id: &str,
) -> Result<Option<Value>, Failure> {
    let (status, body) = call(session, Method::GET, &["tyk", collection, id], None).await?;
    match status {
        200 if body.is_object() => Ok(Some(body)),
        404 => Ok(None),
        200 => Err(Failure::new(
            Disposition::Fail,
            "gateway_answer_invalid",
            "the gateway answered with something that is no JSON object",
        )),
        _ => Err(refused(status, &body)),
    }
}

async fn call(
    session: &GatewaySession<'_>,
    method: Method,
    path: &[&str],
    body: Option<Value>,
) -> Result<(u16, Value), Failure> {
    let mut request = OutgoingRequest::new(method, url(session, path));
    request.timeout = Some(session.deadline);
    let mut secret = HeaderValue::try_from(session.secret.expose()).map_err(|_| {
        let why = "the secret holds characters that no HTTP header can carry";
        Failure::new(Disposition::Fail, "gateway_secret_malformed", why)
    })?;
    secret.set_sensitive(true);
    request.headers.insert("x-tyk-authorization", secret);
    if let Some(body) = body {
        let json = HeaderValue::from_static("application/json");
        request.headers.insert(CONTENT_TYPE, json);
        request.body = body.to_string().into();
    }
    let answer = session
        .outgoing
        .send(request)
        .await
        .map_err(|error| unreachable(&error))?;
    let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    Ok((answer.status.as_u16(), body))
}

fn url(session: &GatewaySession<'_>, path: &[&str]) -> Url {
    let mut url = session.url.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    // Returns only when it is done.
    url.set_query((path == ["tyk", "reload"]).then_some("block=true"));
    url
}

/// Everything here may be repeated, so a lost answer is no matter.
fn unreachable(error: &OutgoingError) -> Failure {
    let (disposition, code) = match error {
        OutgoingError::Refused { .. } => (Disposition::Fail, "gateway_address_forbidden"),
        OutgoingError::TooLarge { .. } => (Disposition::Fail, "gateway_answer_invalid"),
        _ => (Disposition::Retry, UNREACHABLE),
    };
    Failure::new(disposition, code, sanitized(&error.to_string()))
}

fn refused(status: u16, body: &Value) -> Failure {
    let (disposition, code) = match status {
        401 | 403 => (Disposition::Fail, "gateway_secret_refused"),
        408 | 425 | 429 | 500.. => (Disposition::Retry, "gateway_unavailable"),
        _ => (Disposition::Fail, "gateway_refused"),
    };
    let message = body["message"]
        .as_str()
        .unwrap_or("the gateway gave no reason");
    let mut failure = Failure::new(disposition, code, sanitized(message));
    failure.status = Some(status);
    failure
}

#[cfg(test)]
mod tests;
