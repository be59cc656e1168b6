//! The registry of client identity providers.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, put};
use serde_json::{Value, json};

use super::{MALFORMED, Shared, error, malformed, new_id, object, ok, store};
use crate::gateway::state::Gateway;

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/clientidps", get(list).post(add))
        .route("/clientidps/{id}", get(one).put(update).delete(remove))
        .route("/clientidps/{id}/mappings/{api}", put(map).delete(unmap))
}

fn find(gateway: &Gateway, id: &str) -> Option<(String, Value)> {
    let loaded = gateway.loaded();
    let mut all = loaded.documents.client_idps.iter();
    all.find(|(name, record)| *name == id || record["_id"] == id)
        .map(|(name, record)| (name.clone(), record.clone()))
}

fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "Client IdP not found")
}

fn save(gateway: &Gateway, name: String, record: Value) -> Response {
    let answer = Json(record.clone()).into_response();
    store(
        gateway,
        |written| drop(written.client_idps.insert(name, record)),
        answer,
    )
}

async fn list(State(gateway): Shared) -> Response {
    let loaded = gateway.loaded();
    let records: Vec<&Value> = loaded.documents.client_idps.values().collect();
    Json(json!({"data": records, "pages": 1})).into_response()
}

async fn one(State(gateway): Shared, Path(id): Path<String>) -> Response {
    match find(&gateway, &id) {
        Some((_, record)) => Json(record).into_response(),
        None => not_found(),
    }
}

fn checked(body: &[u8]) -> Result<Value, String> {
    let mut record = object(body).ok_or(MALFORMED)?;
    for member in ["name", "jwks_uri"] {
        if record[member].as_str().is_none_or(str::is_empty) {
            return Err(format!("{member} is required"));
        }
    }
    if record["api_mappings"].is_null() {
        record["api_mappings"] = json!({});
    }
    Ok(record)
}

async fn add(State(gateway): Shared, body: Bytes) -> Response {
    let mut record = match checked(&body) {
        Ok(record) => record,
        Err(why) => return error(StatusCode::BAD_REQUEST, &why),
    };
    let db = new_id();
    let given = record["client_idp_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let name = if given.is_empty() { db.clone() } else { given };
    if find(&gateway, &name).is_some() {
        return error(StatusCode::CONFLICT, "client_idp_id already exists");
    }
    record["_id"] = db.into();
    record["client_idp_id"] = name.clone().into();
    save(&gateway, name, record)
}

async fn update(State(gateway): Shared, Path(id): Path<String>, body: Bytes) -> Response {
    let Some((name, before)) = find(&gateway, &id) else {
        return not_found();
    };
    match checked(&body) {
        Ok(mut record) => {
            record["_id"] = before["_id"].clone();
            record["client_idp_id"] = name.clone().into();
            save(&gateway, name, record)
        }
        Err(why) => error(StatusCode::BAD_REQUEST, &why),
    }
}

async fn remove(State(gateway): Shared, Path(id): Path<String>) -> Response {
    let Some((name, _)) = find(&gateway, &id) else {
        return not_found();
    };
    let answer = ok("Client IdP deleted", &Value::Null);
    store(
        &gateway,
        |written| drop(written.client_idps.remove(&name)),
        answer,
    )
}

async fn map(
    State(gateway): Shared,
    Path((id, api)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let Some((name, mut record)) = find(&gateway, &id) else {
        return not_found();
    };
    let mapping = object(&body).filter(|mapping| mapping["scope_to_policy"].is_object());
    let Some(mapping) = mapping else {
        return malformed();
    };
    record["api_mappings"][&api] = mapping;
    save(&gateway, name, record)
}

async fn unmap(State(gateway): Shared, Path((id, api)): Path<(String, String)>) -> Response {
    let Some((name, mut record)) = find(&gateway, &id) else {
        return not_found();
    };
    let removed = record["api_mappings"]
        .as_object_mut()
        .and_then(|mappings| mappings.remove(&api));
    match removed {
        Some(_) => save(&gateway, name, record),
        None => error(StatusCode::NOT_FOUND, "Mapping not found"),
    }
}
