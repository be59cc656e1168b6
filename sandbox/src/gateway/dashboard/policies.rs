//! Policies, unwrapped.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::{
    Answer, Shared, bad, is_empty, malformed, named, new_id, not_found, object, ok, store,
};
use crate::gateway::definition::{Policy, read};
use crate::gateway::state::Gateway;

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/portal/policies", get(list).post(add))
        .route("/portal/policies/{id}", get(one).put(update).delete(remove))
}

/// The name under which it is loaded, and the policy.
fn find(gateway: &Gateway, id: &str) -> Result<(String, Value), Response> {
    named(&gateway.loaded().documents.policies, id)
        .ok_or_else(|| not_found("Could not find policy"))
}

/// A policy whose id was not chosen has an empty one.
fn shown(name: &str, policy: &Value) -> Value {
    let mut policy = policy.clone();
    if policy["_id"] == name {
        policy["id"] = "".into();
    }
    policy
}

async fn list(State(gateway): Shared) -> Response {
    let loaded = gateway.loaded();
    let all = loaded.documents.policies.iter();
    let data: Vec<Value> = all.map(|(name, policy)| shown(name, policy)).collect();
    Json(json!({"Data": data, "Pages": 1})).into_response()
}

async fn one(State(gateway): Shared, Path(id): Path<String>) -> Answer {
    let (name, policy) = find(&gateway, &id)?;
    Ok(Json(shown(&name, &policy)).into_response())
}

fn checked(body: &[u8]) -> Result<Value, Response> {
    let policy = object(body)?;
    if policy.get("api_definition").is_some() || read::<Policy>(&policy).is_err() {
        return Err(malformed());
    }
    if is_empty(&policy["name"]) {
        return Err(bad("Policy name can't be empty"));
    }
    let rights = policy["access_rights"].as_object();
    if rights.is_none_or(serde_json::Map::is_empty) {
        return Err(bad("Policy must have at least one access right"));
    }
    Ok(policy)
}

async fn add(State(gateway): Shared, body: Bytes) -> Answer {
    let mut policy = checked(&body)?;
    let settings = gateway.dashboard.as_ref();
    let explicit = settings.is_some_and(|settings| settings.explicit_policy_ids);
    let db = new_id();
    let name = match policy["id"].as_str() {
        Some(given) if explicit && !given.is_empty() => given.to_owned(),
        _ => db.clone(),
    };
    if find(&gateway, &name).is_ok() {
        return Err(bad("Policy ID already exists"));
    }
    policy["_id"] = db.into();
    policy["id"] = name.clone().into();
    let answer = ok(&name, &Value::Null);
    store(&gateway, |written| written.policies.insert(name, policy))?;
    Ok(answer)
}

async fn update(State(gateway): Shared, Path(id): Path<String>, body: Bytes) -> Answer {
    let mut policy = checked(&body)?;
    let (name, before) = find(&gateway, &id)?;
    if policy["_id"] != before["_id"] {
        return Err(bad("Policy ids do not match"));
    }
    policy["id"] = name.clone().into();
    store(&gateway, |written| written.policies.insert(name, policy))?;
    Ok(ok("Data updated", &Value::Null))
}

async fn remove(State(gateway): Shared, Path(id): Path<String>) -> Answer {
    let (name, _) = find(&gateway, &id)?;
    store(&gateway, |written| written.policies.remove(&name))?;
    Ok(ok("Data deleted", &Value::Null))
}
