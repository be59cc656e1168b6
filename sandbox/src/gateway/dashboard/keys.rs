//! Keys, as the Dashboard hands them on to the gateways.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::{Shared, error, malformed, object, ok};
use crate::gateway::keys;
use crate::gateway::state::{Gateway, lock};

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/keys", get(list).post(add))
        .route("/keys/{hash}", get(one).delete(remove))
}

async fn list(State(gateway): Shared) -> Response {
    if !gateway.key_listing {
        return error(StatusCode::NOT_FOUND, "Hashed key listing is disabled");
    }
    let hashes: Vec<String> = lock(&gateway.keys).keys().cloned().collect();
    Json(json!({"data": {"keys": hashes}, "pages": 1})).into_response()
}

async fn add(State(gateway): Shared, body: Bytes) -> Response {
    let Some(session) = object(&body) else {
        return malformed();
    };
    match keys::create(&gateway, &session) {
        Ok(_) if let Some(status) = keys::lost(&gateway) => error(status, "the answer got lost"),
        Ok((key, hash)) => {
            let answer = json!({"api_model": {}, "key_id": key, "key_hash": hash, "data": session});
            Json(answer).into_response()
        }
        Err(why) => error(StatusCode::BAD_REQUEST, why),
    }
}

async fn one(State(gateway): Shared, Path(hash): Path<String>) -> Response {
    match lock(&gateway.keys).get(&hash) {
        Some(session) => Json(json!({"api_model": {}, "data": session})).into_response(),
        None => error(StatusCode::NOT_FOUND, "Key not found"),
    }
}

async fn remove(State(gateway): Shared, Path(hash): Path<String>) -> Response {
    match lock(&gateway.keys).remove(&hash) {
        Some(_) => ok("Key deleted successfully", &Value::Null),
        None => error(StatusCode::NOT_FOUND, "Key not found"),
    }
}
