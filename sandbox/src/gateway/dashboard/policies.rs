//! Policies, unwrapped.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{MALFORMED, Shared, error, new_id, object, ok, store};
use crate::gateway::definition::Policy;
use crate::gateway::state::Gateway;

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/portal/policies", get(list).post(add))
        .route("/portal/policies/{id}", get(one).put(update).delete(remove))
}

/// The name under which it is loaded, and the policy.
fn find(gateway: &Gateway, id: &str) -> Option<(String, Value)> {
    let loaded = gateway.loaded();
    let mut all = loaded.documents.policies.iter();
    all.find(|(name, policy)| *name == id || policy["_id"] == id)
        .map(|(name, policy)| (name.clone(), policy.clone()))
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

async fn one(State(gateway): Shared, Path(id): Path<String>) -> Response {
    match find(&gateway, &id) {
        Some((name, policy)) => Json(shown(&name, &policy)).into_response(),
        None => error(StatusCode::NOT_FOUND, "Could not find policy"),
    }
}

fn checked(body: &[u8]) -> Result<Value, String> {
    let policy = object(body).filter(|policy| Policy::deserialize(policy).is_ok());
    let policy = policy.ok_or(MALFORMED)?;
    if policy.get("api_definition").is_some() {
        return Err(MALFORMED.to_owned());
    }
    if policy["name"].as_str().is_none_or(str::is_empty) {
        return Err("Policy name can't be empty".to_owned());
    }
    if policy["access_rights"]
        .as_object()
        .is_none_or(serde_json::Map::is_empty)
    {
        return Err("Policy must have at least one access right".to_owned());
    }
    Ok(policy)
}

async fn add(State(gateway): Shared, body: Bytes) -> Response {
    let mut policy = match checked(&body) {
        Ok(policy) => policy,
        Err(why) => return error(StatusCode::BAD_REQUEST, &why),
    };
    let explicit = gateway
        .dashboard
        .as_ref()
        .is_some_and(|it| it.explicit_policy_ids);
    let db = new_id();
    let given = policy["id"].as_str().unwrap_or_default().to_owned();
    let name = if explicit && !given.is_empty() {
        given
    } else {
        db.clone()
    };
    if find(&gateway, &name).is_some() {
        return error(StatusCode::BAD_REQUEST, "Policy ID already exists");
    }
    policy["_id"] = db.into();
    policy["id"] = name.clone().into();
    let answer = ok(&name, &Value::Null);
    store(
        &gateway,
        |written| drop(written.policies.insert(name, policy)),
        answer,
    )
}

async fn update(State(gateway): Shared, Path(id): Path<String>, body: Bytes) -> Response {
    let mut policy = match checked(&body) {
        Ok(policy) => policy,
        Err(why) => return error(StatusCode::BAD_REQUEST, &why),
    };
    let Some((name, before)) = find(&gateway, &id) else {
        return error(StatusCode::NOT_FOUND, "Could not find policy");
    };
    if policy["_id"] != before["_id"] {
        return error(StatusCode::BAD_REQUEST, "Policy ids do not match");
    }
    policy["id"] = name.clone().into();
    let answer = ok("Data updated", &Value::Null);
    store(
        &gateway,
        |written| drop(written.policies.insert(name, policy)),
        answer,
    )
}

async fn remove(State(gateway): Shared, Path(id): Path<String>) -> Response {
    let Some((name, _)) = find(&gateway, &id) else {
        return error(StatusCode::NOT_FOUND, "Could not find policy");
    };
    let answer = ok("Data deleted", &Value::Null);
    store(
        &gateway,
        |written| drop(written.policies.remove(&name)),
        answer,
    )
}
