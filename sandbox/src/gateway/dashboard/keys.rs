//! Keys, as the Dashboard hands them on to the gateways.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Json};
use axum::routing::get;
use serde_json::{Value, json};

use super::{Answer, Shared, bad, error, not_found, object, ok};
use crate::gateway::keys;
use crate::gateway::state::{Gateway, lock};

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/keys", get(list).post(add))
        .route("/keys/{hash}", get(one).delete(remove))
}

async fn list(State(gateway): Shared) -> Answer {
    if !gateway.key_listing {
        return Err(not_found("Hashed key listing is disabled"));
    }
    let hashes: Vec<String> = lock(&gateway.keys).keys().cloned().collect();
    Ok(Json(json!({"data": {"keys": hashes}, "pages": 1})).into_response())
}

async fn add(State(gateway): Shared, body: Bytes) -> Answer {
    let session = object(&body)?;
    let (key, hash) = keys::create(&gateway, &session).map_err(bad)?;
    if let Some(status) = keys::lost(&gateway) {
        return Err(error(status, "the answer got lost"));
    }
    let answer = json!({"api_model": {}, "key_id": key, "key_hash": hash, "data": session});
    Ok(Json(answer).into_response())
}

async fn one(State(gateway): Shared, Path(hash): Path<String>) -> Answer {
    let session = lock(&gateway.keys).get(&hash).cloned();
    let session = session.ok_or_else(|| not_found("Key not found"))?;
    Ok(Json(json!({"api_model": {}, "data": session})).into_response())
}

async fn remove(State(gateway): Shared, Path(hash): Path<String>) -> Answer {
    let removed = lock(&gateway.keys).remove(&hash);
    removed.ok_or_else(|| not_found("Key not found"))?;
    Ok(ok("Key deleted successfully", &Value::Null))
}
