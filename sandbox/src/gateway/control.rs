//! The control API under `/tyk/`. It writes; only a reload makes it so. Messages and
//! statuses are those of Tyk's `gateway/api.go`, odd ones included.

use std::io;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get};
use axum::{Router, http};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::definition::{self, Api, Policy};
use super::keys;
use super::state::Gateway;
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

/// What is answered; `Err` where it is refused.
type Answer = Result<Response, Response>;

pub(super) fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"status": "error", "message": message}))).into_response()
}

fn bad(message: &str) -> Response {
    error(StatusCode::BAD_REQUEST, message)
}

fn malformed() -> Response {
    bad("Request malformed")
}

fn no_api() -> Response {
    error(StatusCode::NOT_FOUND, "API not found")
}

pub(super) fn done(key: &str, action: &str) -> Response {
    Json(json!({"key": key, "status": "ok", "action": action})).into_response()
}

fn ok(message: &str) -> Response {
    Json(json!({"status": "ok", "message": message})).into_response()
}

/// The shared secret, then the record of the call, then the fault that waits for it.
async fn guard(State(gateway): Shared, request: Request, next: Next) -> Response {
    let presented = request.headers().get("x-tyk-authorization");
    let presented = presented.and_then(|value| value.to_str().ok());
    if !secret::same(presented.unwrap_or_default(), &gateway.secret) {
        let message = "Attempted administrative access with invalid or missing key!";
        return error(StatusCode::FORBIDDEN, message);
    }
    match gateway.arrived("/tyk", &request) {
        Some(status) => error(status, "the double was told to fail"),
        None => next.run(request).await,
    }
}

/// Liveness, without the secret.
async fn hello() -> Json<Value> {
    Json(
        json!({"status": "pass", "version": "sandbox", "description": "Tyk GW (a double)", "details": {}}),
    )
}

async fn no_id(method: http::Method) -> Response {
    let verb = match method {
        http::Method::PUT => "update",
        _ => "delete",
    };
    bad(&format!("Must specify an apiID to {verb}"))
}

fn storage_failed(message: &str, cause: &io::Error) -> Response {
    tracing::error!(error = %cause, "cannot write the data file");
    error(StatusCode::INTERNAL_SERVER_ERROR, message)
}

// ---- API definitions

async fn list_apis(State(gateway): Shared) -> Response {
    Json(gateway.loaded().documents.apis.values().collect::<Vec<_>>()).into_response()
}

async fn get_api(State(gateway): Shared, Path(id): Path<String>) -> Answer {
    let loaded = gateway.loaded();
    let document = loaded.documents.apis.get(&id).ok_or_else(no_api)?;
    Ok(Json(document).into_response())
}

/// A document and what the double understands of it, where its members have the right types.
fn document<T: DeserializeOwned>(body: &[u8]) -> Result<(Value, T), Response> {
    let document = serde_json::from_slice(body).ok();
    let document = document.filter(Value::is_object).ok_or_else(malformed)?;
    let read = definition::read(&document).map_err(|_| malformed())?;
    Ok((document, read))
}

async fn add_api(State(gateway): Shared, body: Bytes) -> Answer {
    let (mut document, api) = document::<Api>(&body)?;
    let mut id = api.api_id;
    if id.is_empty() {
        id = secret::random(12);
        document["api_id"] = Value::from(id.clone());
    }
    write_api(&gateway, &id, document, "added")
}

async fn update_api(State(gateway): Shared, Path(id): Path<String>, body: Bytes) -> Answer {
    if !gateway.loaded().documents.apis.contains_key(&id) {
        return Err(no_api());
    }
    let (document, api) = document::<Api>(&body)?;
    if api.api_id != id {
        return Err(bad(
            "Request APIID does not match that in Definition! For Update operations these must match.",
        ));
    }
    write_api(&gateway, &id, document, "modified")
}

fn write_api(gateway: &Gateway, id: &str, document: Value, action: &str) -> Answer {
    let written = gateway.write(|written| written.apis.insert(id.to_owned(), document));
    let failed = "file object creation failed, write error";
    written.map_err(|cause| storage_failed(failed, &cause))?;
    Ok(done(id, action))
}

async fn delete_api(State(gateway): Shared, Path(id): Path<String>) -> Answer {
    if !gateway.loaded().documents.apis.contains_key(&id) {
        return Err(no_api());
    }
    deleted(&id, gateway.write(|written| written.apis.remove(&id)))
}

fn deleted(id: &str, removed: io::Result<Option<Value>>) -> Answer {
    match removed {
        Ok(Some(_)) => Ok(done(id, "deleted")),
        Ok(None) => Err(error(StatusCode::INTERNAL_SERVER_ERROR, "Delete failed")),
        Err(cause) => Err(storage_failed("Delete failed", &cause)),
    }
}

// ---- policies

async fn list_policies(State(gateway): Shared) -> Response {
    let loaded = gateway.loaded();
    let all: Vec<&Value> = loaded.documents.policies.values().collect();
    Json(all).into_response()
}

async fn get_policy(State(gateway): Shared, Path(id): Path<String>) -> Answer {
    let missing = || error(StatusCode::NOT_FOUND, "Policy not found");
    let loaded = gateway.loaded();
    let document = loaded.documents.policies.get(&id).ok_or_else(missing)?;
    Ok(Json(document).into_response())
}

async fn write_policy(State(gateway): Shared, body: Bytes) -> Answer {
    store_policy(&gateway, None, &body, "added")
}

/// A PUT of an unknown policy creates it, as in Tyk.
async fn update_policy(State(gateway): Shared, Path(id): Path<String>, body: Bytes) -> Answer {
    store_policy(&gateway, Some(&id), &body, "modified")
}

fn store_policy(gateway: &Gateway, id: Option<&str>, body: &[u8], action: &str) -> Answer {
    let (document, Policy { id: named, .. }) = document(body)?;
    if id.is_some_and(|id| id != named) {
        return Err(bad(
            "Request ID does not match that in policy! For Update operations these must match.",
        ));
    }
    if named.is_empty() {
        return Err(bad("Unable to create policy without id."));
    }
    let written = gateway.write(|written| written.policies.insert(named.clone(), document));
    written.map_err(|cause| storage_failed("Failed to create file!", &cause))?;
    Ok(done(&named, action))
}

async fn delete_policy(State(gateway): Shared, Path(id): Path<String>) -> Answer {
    deleted(&id, gateway.write(|written| written.policies.remove(&id)))
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
