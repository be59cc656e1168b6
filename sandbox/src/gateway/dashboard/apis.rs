//! Definitions, wrapped.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Value, json};
use std::sync::Arc;

use super::{Answer, Shared, bad, is_empty, malformed, new_id, not_found, object, ok, store};
use crate::gateway::definition::{Api, read};
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
fn find(gateway: &Gateway, id: &str) -> Result<Value, Response> {
    let loaded = gateway.loaded();
    let apis = &loaded.documents.apis;
    let by_db = || apis.values().find(|api| api["id"] == id);
    let found = apis.get(id).or_else(by_db).cloned();
    found.ok_or_else(|| not_found("API not found"))
}

async fn list(State(gateway): Shared) -> Response {
    let loaded = gateway.loaded();
    let apis: Vec<Value> = loaded.documents.apis.values().map(wrapped).collect();
    Json(json!({"apis": apis, "pages": 1})).into_response()
}

async fn one(State(gateway): Shared, Path(id): Path<String>) -> Answer {
    Ok(Json(wrapped(&find(&gateway, &id)?)).into_response())
}

/// The definition with the members beside it.
fn unwrapped(body: &[u8]) -> Result<Value, Response> {
    let mut wrapper = object(body)?;
    let members = wrapper.as_object_mut();
    let mut definition = members
        .and_then(|members| members.remove("api_definition"))
        .filter(|definition| definition.is_object() && read::<Api>(definition).is_ok())
        .ok_or_else(malformed)?;
    definition[BESIDE] = wrapper;
    Ok(definition)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

async fn add(State(gateway): Shared, body: Bytes) -> Answer {
    let mut definition = unwrapped(&body)?;
    if is_empty(&definition["name"]) {
        return Err(bad("API name can't be empty"));
    }
    let api_id = match text(&definition["api_id"]) {
        id if id.is_empty() => secret::random(16),
        id => id,
    };
    if find(&gateway, &api_id).is_ok() {
        return Err(bad("API ID already exists"));
    }
    let id = new_id();
    definition["api_id"] = api_id.clone().into();
    definition["id"] = id.clone().into();
    store(&gateway, |written| written.apis.insert(api_id, definition))?;
    Ok(ok("API created", &id.into()))
}

async fn update(State(gateway): Shared, Path(id): Path<String>, body: Bytes) -> Answer {
    let before = find(&gateway, &id)?;
    let definition = unwrapped(&body)?;
    let same = definition["api_id"] == before["api_id"]
        && (before["id"].is_null() || definition["id"] == before["id"]);
    if !same {
        return Err(bad("API ids do not match"));
    }
    let meta = definition["id"].clone();
    store(&gateway, |written| {
        written.apis.insert(text(&definition["api_id"]), definition)
    })?;
    Ok(ok("API updated", &meta))
}

async fn remove(State(gateway): Shared, Path(id): Path<String>) -> Answer {
    let api_id = text(&find(&gateway, &id)?["api_id"]);
    store(&gateway, |written| written.apis.remove(&api_id))?;
    Ok(ok("API deleted", &Value::Null))
}
