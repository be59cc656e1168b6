//! API keys. Only their hashes are kept, as by a gateway with `hash_keys`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::claims::Refusal;
use super::control::{done, error};
use super::definition::Api;
use super::policies::{Policies, Session};
use super::state::{Gateway, lock};
use crate::secret;

/// Sessions by the hash of their key.
pub(super) type Keys = BTreeMap<String, Value>;

pub(super) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/keys", get(list).post(add))
        .route("/keys/{hash}", get(one).delete(remove))
}

/// Checks a session and gives its key a name: key and hash.
pub(super) fn create(gateway: &Gateway, session: &Value) -> Result<(String, String), &'static str> {
    let policies = session["apply_policies"].as_array();
    let policies = policies.filter(|ids| !ids.is_empty());
    let rights = session["access_rights"].as_object();
    if policies.is_none() && rights.is_none_or(Map::is_empty) {
        // Tyk would make a key for everything, where its configuration lets it.
        return Err("master keys disabled");
    }
    let org_id = session["org_id"].as_str().unwrap_or_default();
    let loaded = gateway.loaded();
    for id in policies.into_iter().flatten() {
        let known = id.as_str().and_then(|id| loaded.policies.get(id));
        let Some(policy) = known else {
            return Err("Failed to create key, policy not found");
        };
        if policy.org_id != org_id {
            return Err("Attempting to apply policy from different organisation to key, skipping");
        }
    }
    let key = secret::random(32);
    let hash = secret::digest(&key);
    lock(&gateway.keys).insert(hash.clone(), session.clone());
    Ok((key, hash))
}

/// What stands for the answer, where the double was told to lose it.
pub(super) fn lost(gateway: &Gateway) -> Option<StatusCode> {
    let status = lock(&gateway.lost_keys).pop_front()?;
    StatusCode::from_u16(status).ok()
}

#[derive(Deserialize)]
struct Hashed {
    #[serde(default)]
    hashed: String,
}

impl Hashed {
    fn is_set(&self) -> bool {
        matches!(self.hashed.as_str(), "1" | "true")
    }
}

async fn list(State(gateway): State<Arc<Gateway>>) -> Response {
    if !gateway.key_listing {
        return error(
            StatusCode::NOT_FOUND,
            "Hashed key listing is disabled in config (enable_hashed_keys_listing)",
        );
    }
    let hashes: Vec<String> = lock(&gateway.keys).keys().cloned().collect();
    Json(json!({"keys": hashes})).into_response()
}

async fn add(State(gateway): State<Arc<Gateway>>, body: Bytes) -> Response {
    let session = serde_json::from_slice::<Value>(&body).ok();
    let Some(session) = session.filter(Value::is_object) else {
        return error(StatusCode::BAD_REQUEST, "Request malformed");
    };
    match create(&gateway, &session) {
        Ok(_) if let Some(status) = lost(&gateway) => error(status, "the answer got lost"),
        Ok((key, hash)) => {
            let answer = json!({"key": key, "status": "ok", "action": "added", "key_hash": hash});
            Json(answer).into_response()
        }
        Err(why) => error(StatusCode::BAD_REQUEST, why),
    }
}

async fn one(
    State(gateway): State<Arc<Gateway>>,
    Path(hash): Path<String>,
    Query(query): Query<Hashed>,
) -> Response {
    let found = query
        .is_set()
        .then(|| lock(&gateway.keys).get(&hash).cloned());
    match found.flatten() {
        Some(session) => Json(session).into_response(),
        None => error(StatusCode::NOT_FOUND, "Key not found"),
    }
}

async fn remove(
    State(gateway): State<Arc<Gateway>>,
    Path(hash): Path<String>,
    Query(query): Query<Hashed>,
) -> Response {
    let found = query.is_set().then(|| lock(&gateway.keys).remove(&hash));
    match found.flatten() {
        Some(_) => done(&hash, "deleted"),
        None => error(StatusCode::NOT_FOUND, "There is no such key found"),
    }
}

/// What the caller of a key may do, and whose buckets it fills.
pub(super) fn session(
    gateway: &Gateway,
    api: &Api,
    policies: &Policies,
    key: &str,
) -> Result<(String, Session), Refusal> {
    let unknown = || Refusal::forbidden("Access to this API has been disallowed");
    let hash = secret::digest(key);
    let stored = lock(&gateway.keys)
        .get(&hash)
        .cloned()
        .ok_or_else(unknown)?;
    let ids: Vec<String> = stored["apply_policies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|id| id.as_str().map(str::to_owned))
        .collect();
    let applied = Session::default().apply(&ids, policies, &api.org_id);
    applied
        .map(|session| (format!("key {hash}"), session))
        .map_err(|error| {
            tracing::debug!(%error, api = api.api_id, "policies of a key cannot be applied");
            unknown()
        })
}
