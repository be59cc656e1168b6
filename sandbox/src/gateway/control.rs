//! The control API under `/tyk/`. It writes; only a reload makes it so. Messages and
//! statuses are those of Tyk's `gateway/api.go`, odd ones included.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get};
use axum::{Router, http};
use serde::Deserialize;
use serde_json::{Value, json};

use super::definition::{self, Api, Policy};
use super::keys;
use super::state::{ControlCall, Gateway, lock};
use crate::secret;

type Shared = State<Arc<Gateway>>;

pub(super) fn router(gateway: &Arc<Gateway>) -> Router<Arc<Gateway>> {
    let control = Router::new()
        .route(
            "/apis",
            get(list_apis).post(add_api).put(no_id).delete(no_id),
        )
        .route(
            "/apis/{id}",
            get(get_api)
                .post(add_api)
                .put(update_api)
                .delete(delete_api),
        )
        .route(
            "/policies",
            get(list_policies)
                .post(write_policy)
                .put(no_id)
                .delete(no_id),
        )
        .route(
            "/policies/{id}",
            get(get_policy)
                .post(write_policy)
                .put(update_policy)
                .delete(delete_policy),
        )
        .merge(keys::router())
        .route("/reload", get(reload))
        .route("/reload/group", get(reload_group))
        .route("/cache/jwks", delete(flush_all))
        .route("/cache/jwks/{api_id}", delete(flush_one))
        .fallback(async || error(StatusCode::NOT_FOUND, "Not Found"))
        .method_not_allowed_fallback(async || {
            error(StatusCode::METHOD_NOT_ALLOWED, "Method not supported")
        })
        .layer(from_fn_with_state(Arc::clone(gateway), guard));
    Router::new()
        .route("/hello", get(hello))
        .nest("/tyk", control)
}

pub(super) fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"status": "error", "message": message}))).into_response()
}

pub(super) fn done(key: &str, action: &str) -> Response {
    Json(json!({"key": key, "status": "ok", "action": action})).into_response()
}

fn ok(message: &str) -> Response {
    Json(json!({"status": "ok", "message": message})).into_response()
}

/// The shared secret, then the record of the call, then the fault that waits for it.
async fn guard(State(gateway): Shared, request: Request, next: Next) -> Response {
    let presented = request
        .headers()
        .get("x-tyk-authorization")
        .and_then(|value| value.to_str().ok());
    if !secret::same(presented.unwrap_or_default(), &gateway.secret) {
        return error(
            StatusCode::FORBIDDEN,
            "Attempted administrative access with invalid or missing key!",
        );
    }
    let path = request
        .uri()
        .path_and_query()
        .map(http::uri::PathAndQuery::as_str)
        .unwrap_or_default();
    let method = request.method().to_string();
    gateway.record(ControlCall {
        method,
        path: format!("/tyk{path}"),
    });
    let fault = lock(&gateway.faults).pop_front();
    if let Some(status) = fault.and_then(|status| StatusCode::from_u16(status).ok()) {
        return error(status, "the double was told to fail");
    }
    next.run(request).await
}

/// Liveness, without the secret.
async fn hello() -> Json<Value> {
    Json(
        json!({"status": "pass", "version": "sandbox", "description": "Tyk GW (a double)", "details": {}}),
    )
}

async fn no_id(method: http::Method) -> Response {
    let verb = if method == http::Method::PUT {
        "update"
    } else {
        "delete"
    };
    error(
        StatusCode::BAD_REQUEST,
        &format!("Must specify an apiID to {verb}"),
    )
}

fn storage_failed(message: &str, cause: &std::io::Error) -> Response {
    tracing::error!(error = %cause, "cannot write the data file");
    error(StatusCode::INTERNAL_SERVER_ERROR, message)
}

// ---- API definitions

async fn list_apis(State(gateway): Shared) -> Response {
    Json(gateway.loaded().documents.apis.values().collect::<Vec<_>>()).into_response()
}

async fn get_api(State(gateway): Shared, Path(id): Path<String>) -> Response {
    match gateway.loaded().documents.apis.get(&id) {
        Some(document) => Json(document).into_response(),
        None => error(StatusCode::NOT_FOUND, "API not found"),
    }
}

/// The document and its id, if the members that the double understands have the
/// right types.
fn api_document(body: &[u8]) -> Option<(Value, String)> {
    let document: Value = serde_json::from_slice(body).ok().filter(Value::is_object)?;
    let api: Api = definition::read(&document).ok()?;
    Some((document, api.api_id))
}

async fn add_api(State(gateway): Shared, body: Bytes) -> Response {
    let Some((mut document, mut id)) = api_document(&body) else {
        return error(StatusCode::BAD_REQUEST, "Request malformed");
    };
    if id.is_empty() {
        id = secret::random(12);
        document["api_id"] = Value::from(id.clone());
    }
    write_api(&gateway, &id, document, "added")
}

async fn update_api(State(gateway): Shared, Path(id): Path<String>, body: Bytes) -> Response {
    if !gateway.loaded().documents.apis.contains_key(&id) {
        return error(StatusCode::NOT_FOUND, "API not found");
    }
    match api_document(&body) {
        None => error(StatusCode::BAD_REQUEST, "Request malformed"),
        Some((document, named)) if named == id => write_api(&gateway, &id, document, "modified"),
        Some(_) => error(
            StatusCode::BAD_REQUEST,
            "Request APIID does not match that in Definition! For Update operations these must match.",
        ),
    }
}

fn write_api(gateway: &Gateway, id: &str, document: Value, action: &str) -> Response {
    match gateway.write(|written| written.apis.insert(id.to_owned(), document)) {
        Ok(_) => done(id, action),
        Err(cause) => storage_failed("file object creation failed, write error", &cause),
    }
}

async fn delete_api(State(gateway): Shared, Path(id): Path<String>) -> Response {
    if !gateway.loaded().documents.apis.contains_key(&id) {
        return error(StatusCode::NOT_FOUND, "API not found");
    }
    match gateway.write(|written| written.apis.remove(&id)) {
        Ok(Some(_)) => done(&id, "deleted"),
        Ok(None) => error(StatusCode::INTERNAL_SERVER_ERROR, "Delete failed"),
        Err(cause) => storage_failed("Delete failed", &cause),
    }
}

// ---- policies

async fn list_policies(State(gateway): Shared) -> Response {
    Json(
        gateway
            .loaded()
            .documents
            .policies
            .values()
            .collect::<Vec<_>>(),
    )
    .into_response()
}

async fn get_policy(State(gateway): Shared, Path(id): Path<String>) -> Response {
    match gateway.loaded().documents.policies.get(&id) {
        Some(document) => Json(document).into_response(),
        None => error(StatusCode::NOT_FOUND, "Policy not found"),
    }
}

async fn write_policy(State(gateway): Shared, body: Bytes) -> Response {
    store_policy(&gateway, None, &body, "added")
}

/// A PUT of an unknown policy creates it, as in Tyk.
async fn update_policy(State(gateway): Shared, Path(id): Path<String>, body: Bytes) -> Response {
    store_policy(&gateway, Some(&id), &body, "modified")
}

fn store_policy(gateway: &Gateway, id: Option<&str>, body: &[u8], action: &str) -> Response {
    let document = serde_json::from_slice::<Value>(body)
        .ok()
        .filter(Value::is_object);
    let Some((document, policy)) = document.and_then(|document| {
        let policy: Policy = definition::read(&document).ok()?;
        Some((document, policy))
    }) else {
        return error(StatusCode::BAD_REQUEST, "Request malformed");
    };
    if id.is_some_and(|id| id != policy.id) {
        return error(
            StatusCode::BAD_REQUEST,
            "Request ID does not match that in policy! For Update operations these must match.",
        );
    }
    if policy.id.is_empty() {
        return error(
            StatusCode::BAD_REQUEST,
            "Unable to create policy without id.",
        );
    }
    match gateway.write(|written| written.policies.insert(policy.id.clone(), document)) {
        Ok(_) => done(&policy.id, action),
        Err(cause) => storage_failed("Failed to create file!", &cause),
    }
}

async fn delete_policy(State(gateway): Shared, Path(id): Path<String>) -> Response {
    match gateway.write(|written| written.policies.remove(&id)) {
        Ok(Some(_)) => done(&id, "deleted"),
        Ok(None) => error(StatusCode::INTERNAL_SERVER_ERROR, "Delete failed"),
        Err(cause) => storage_failed("Delete failed", &cause),
    }
}

// ---- reload and caches

#[derive(Deserialize)]
struct ReloadQuery {
    #[serde(default)]
    block: String,
}

async fn reload(State(gateway): Shared, Query(query): Query<ReloadQuery>) -> Response {
    if query.block == "true" {
        gateway.reload();
    } else {
        reload_later(gateway);
    }
    ok("")
}

async fn reload_group(State(gateway): Shared) -> Response {
    reload_later(gateway);
    ok("")
}

fn reload_later(gateway: Arc<Gateway>) {
    tokio::spawn(async move {
        tokio::select! {
            () = gateway.stop.cancelled() => (),
            () = tokio::time::sleep(gateway.reload_delay) => gateway.reload(),
        }
    });
}

async fn flush_all(State(gateway): Shared) -> Response {
    gateway.jwks.flush(None);
    ok("cache invalidated")
}

async fn flush_one(State(gateway): Shared, Path(api_id): Path<String>) -> Response {
    gateway.jwks.flush(Some(&api_id));
    ok("cache invalidated")
}
