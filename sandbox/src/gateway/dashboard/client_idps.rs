//! The registry of client identity providers.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, put};
use serde_json::{Value, json};

use super::{
    Answer, Shared, bad, error, is_empty, malformed, named, new_id, not_found, object, ok, store,
};
use crate::gateway::state::Gateway;

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/clientidps", get(list).post(add))
        .route("/clientidps/{id}", get(one).put(update).delete(remove))
        .route("/clientidps/{id}/mappings/{api}", put(map).delete(unmap))
}

fn find(gateway: &Gateway, id: &str) -> Result<(String, Value), Response> {
    named(&gateway.loaded().documents.client_idps, id)
        .ok_or_else(|| not_found("Client IdP not found"))
}

fn save(gateway: &Gateway, name: String, record: Value) -> Answer {
    let answer = Json(record.clone()).into_response();
    store(gateway, |written| written.client_idps.insert(name, record))?;
    Ok(answer)
}

async fn list(State(gateway): Shared) -> Response {
    let loaded = gateway.loaded();
    let records: Vec<&Value> = loaded.documents.client_idps.values().collect();
    Json(json!({"data": records, "pages": 1})).into_response()
}

async fn one(State(gateway): Shared, Path(id): Path<String>) -> Answer {
    let (_, record) = find(&gateway, &id)?;
    Ok(Json(record).into_response())
}

fn checked(body: &[u8]) -> Result<Value, Response> {
    let mut record = object(body)?;
    for member in ["name", "jwks_uri"] {
        if is_empty(&record[member]) {
            return Err(bad(&format!("{member} is required")));
        }
    }
    if record["api_mappings"].is_null() {
        record["api_mappings"] = json!({});
    }
    Ok(record)
}

async fn add(State(gateway): Shared, body: Bytes) -> Answer {
    let mut record = checked(&body)?;
    let db = new_id();
    let name = match record["client_idp_id"].as_str() {
        None | Some("") => db.clone(),
        Some(given) => given.to_owned(),
    };
    if find(&gateway, &name).is_ok() {
        let why = "client_idp_id already exists";
        return Err(error(StatusCode::CONFLICT, why));
    }
    record["_id"] = db.into();
    record["client_idp_id"] = name.clone().into();
    save(&gateway, name, record)
}

async fn update(State(gateway): Shared, Path(id): Path<String>, body: Bytes) -> Answer {
    let (name, before) = find(&gateway, &id)?;
    let mut record = checked(&body)?;
    record["_id"] = before["_id"].clone();
    record["client_idp_id"] = name.clone().into();
    save(&gateway, name, record)
}

async fn remove(State(gateway): Shared, Path(id): Path<String>) -> Answer {
    let (name, _) = find(&gateway, &id)?;
    store(&gateway, |written| written.client_idps.remove(&name))?;
    Ok(ok("Client IdP deleted", &Value::Null))
}

async fn map(
    State(gateway): Shared,
    Path((id, api)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    let (name, mut record) = find(&gateway, &id)?;
    let mapping = object(&body)?;
    if !mapping["scope_to_policy"].is_object() {
        return Err(malformed());
    }
    record["api_mappings"][&api] = mapping;
    save(&gateway, name, record)
}

async fn unmap(State(gateway): Shared, Path((id, api)): Path<(String, String)>) -> Answer {
    let (name, mut record) = find(&gateway, &id)?;
    let mappings = record["api_mappings"].as_object_mut();
    match mappings.and_then(|mappings| mappings.remove(&api)) {
        Some(_) => save(&gateway, name, record),
        None => Err(not_found("Mapping not found")),
    }
}
