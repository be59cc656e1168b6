//! Definitions, wrapped.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};
use std::sync::Arc;

use super::{Shared, error, malformed, new_id, object, ok, store};
use crate::gateway::definition::Api;
use crate::gateway::state::Gateway;
use crate::secret;

/// Under which the members beside the definition are kept in it.
const BESIDE: &str = "dashboard_wrapper";

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/apis", get(list).post(add))
        .route("/apis/{id}", get(one).put(update).delete(remove))
}

fn wrapped(document: &Value) -> Value {
    let mut definition = document.clone();
    let beside = definition
        .as_object_mut()
        .and_then(|members| members.remove(BESIDE));
    let mut wrapper =
        beside.unwrap_or_else(|| json!({"hook_references": [], "user_group_owners": []}));
    wrapper["api_definition"] = definition;
    wrapper
}

/// By `api_id` or by the database id.
fn find(gateway: &Gateway, id: &str) -> Option<Value> {
    let loaded = gateway.loaded();
    let apis = &loaded.documents.apis;
    let by_db = || apis.values().find(|api| api["id"] == id);
    apis.get(id).or_else(by_db).cloned()
}

async fn list(State(gateway): Shared) -> Response {
    let loaded = gateway.loaded();
    let apis: Vec<Value> = loaded.documents.apis.values().map(wrapped).collect();
    Json(json!({"apis": apis, "pages": 1})).into_response()
}

async fn one(State(gateway): Shared, Path(id): Path<String>) -> Response {
    match find(&gateway, &id) {
        Some(document) => Json(wrapped(&document)).into_response(),
        None => error(StatusCode::NOT_FOUND, "API not found"),
    }
}

/// The definition with the members beside it.
fn unwrapped(body: &[u8]) -> Option<Value> {
    let mut wrapper = object(body)?;
    let members = wrapper.as_object_mut()?;
    let mut definition = members.remove("api_definition").filter(Value::is_object)?;
    Api::deserialize(&definition).ok()?;
    let beside: Map<String, Value> = std::mem::take(members);
    definition[BESIDE] = beside.into();
    Some(definition)
}

async fn add(State(gateway): Shared, body: Bytes) -> Response {
    let Some(mut definition) = unwrapped(&body) else {
        return malformed();
    };
    if definition["name"].as_str().is_none_or(str::is_empty) {
        return error(StatusCode::BAD_REQUEST, "API name can't be empty");
    }
    let api_id = match definition["api_id"].as_str() {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => secret::random(16),
    };
    if find(&gateway, &api_id).is_some() {
        return error(StatusCode::BAD_REQUEST, "API ID already exists");
    }
    let id = new_id();
    definition["api_id"] = api_id.clone().into();
    definition["id"] = id.clone().into();
    let answer = ok("API created", &id.into());
    store(
        &gateway,
        |written| drop(written.apis.insert(api_id, definition)),
        answer,
    )
}

async fn update(State(gateway): Shared, Path(id): Path<String>, body: Bytes) -> Response {
    let Some(before) = find(&gateway, &id) else {
        return error(StatusCode::NOT_FOUND, "API not found");
    };
    let Some(definition) = unwrapped(&body) else {
        return malformed();
    };
    let same = definition["api_id"] == before["api_id"]
        && (before["id"].is_null() || definition["id"] == before["id"]);
    if !same {
        return error(StatusCode::BAD_REQUEST, "API ids do not match");
    }
    let api_id = definition["api_id"].as_str().unwrap_or_default().to_owned();
    let meta = definition["id"].clone();
    let answer = ok("API updated", &meta);
    store(
        &gateway,
        |written| drop(written.apis.insert(api_id, definition)),
        answer,
    )
}

async fn remove(State(gateway): Shared, Path(id): Path<String>) -> Response {
    let Some(api) = find(&gateway, &id) else {
        return error(StatusCode::NOT_FOUND, "API not found");
    };
    let api_id = api["api_id"].as_str().unwrap_or_default().to_owned();
    let answer = ok("API deleted", &Value::Null);
    store(
        &gateway,
        |written| drop(written.apis.remove(&api_id)),
        answer,
    )
}
