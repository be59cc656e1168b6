//! A **double** of the Tyk Dashboard API, in front of the same gateway: what is stored here is in force at once, for
//! the gateways follow the Dashboard by themselves. Written from the pages "Tyk Dashboard API: APIs", "Manage policies",
//! "Keys" and "Identity Provider Registry" of Tyk's documentation (5.x).
//!
//! | what | as the Dashboard does |
//! |---|---|
//! | `Authorization: <user key>` | 401 without; the gateway's own header is not looked at |
//! | definitions | under `api_definition`, an unwrapped one is refused; members beside it are kept |
//! | policies | unwrapped, paged under `Data`; the id is the Dashboard's unless explicit ids are allowed |
//! | `/api/clientidps` | there with a registry only; a record needs a name and a `jwks_uri` |

mod apis;
mod client_idps;
mod keys;
mod policies;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Value, json};

use super::state::{Gateway, Written};
use crate::secret;

/// How the Dashboard is set up.
#[derive(Clone, Debug)]
pub struct DashboardSettings {
    /// What `Authorization` must carry.
    pub user_key: String,
    /// `allow_explicit_policy_id`.
    pub explicit_policy_ids: bool,
    /// The registry of 5.14 is there.
    pub registry: bool,
}

impl Default for DashboardSettings {
    fn default() -> Self {
        Self {
            user_key: "sandbox-user-key".to_owned(),
            explicit_policy_ids: true,
            registry: false,
        }
    }
}

type Shared = State<Arc<Gateway>>;

pub(super) fn router(gateway: &Arc<Gateway>, settings: &DashboardSettings) -> Router<Arc<Gateway>> {
    let mut api = Router::new()
        .merge(apis::router())
        .merge(policies::router())
        .merge(keys::router());
    if settings.registry {
        api = api.merge(client_idps::router());
    }
    let api = api
        .fallback(async || error(StatusCode::NOT_FOUND, "Not Found"))
        .method_not_allowed_fallback(async || {
            error(StatusCode::METHOD_NOT_ALLOWED, "Method not supported")
        })
        .layer(from_fn_with_state(Arc::clone(gateway), guard));
    Router::new().nest("/api", api)
}

fn error(status: StatusCode, message: &str) -> Response {
    let body = json!({"Status": "Error", "Message": message, "Meta": null});
    (status, Json(body)).into_response()
}

fn ok(message: &str, meta: &Value) -> Response {
    Json(json!({"Status": "OK", "Message": message, "Meta": meta})).into_response()
}

/// What is answered; `Err` where it is refused.
type Answer = Result<Response, Response>;

fn bad(why: &str) -> Response {
    error(StatusCode::BAD_REQUEST, why)
}

fn not_found(why: &str) -> Response {
    error(StatusCode::NOT_FOUND, why)
}

fn malformed() -> Response {
    bad("Request malformed")
}

fn object(body: &[u8]) -> Result<Value, Response> {
    let body = serde_json::from_slice(body).ok();
    body.filter(Value::is_object).ok_or_else(malformed)
}

fn is_empty(text: &Value) -> bool {
    text.as_str().is_none_or(str::is_empty)
}

fn new_id() -> String {
    let random = secret::random(24);
    random
        .bytes()
        .map(|byte| format!("{:x}", byte % 16))
        .take(24)
        .collect()
}

/// A document by its name or by the database id, with the name under which it is loaded.
fn named(all: &BTreeMap<String, Value>, id: &str) -> Option<(String, Value)> {
    let mut all = all.iter();
    let (name, document) = all.find(|(name, one)| *name == id || one["_id"] == id)?;
    Some((name.clone(), document.clone()))
}

/// The user's key, then the record of the call, then the fault that waits for it.
async fn guard(State(gateway): Shared, request: Request, next: Next) -> Response {
    let presented = request.headers().get("authorization");
    let presented = presented.and_then(|value| value.to_str().ok());
    let settings = gateway.dashboard.as_ref();
    let known = settings
        .is_some_and(|settings| secret::same(presented.unwrap_or_default(), &settings.user_key));
    if !known {
        return error(StatusCode::UNAUTHORIZED, "Not authorised");
    }
    match gateway.arrived("/api", &request) {
        Some(status) => error(status, "the double was told to fail"),
        None => next.run(request).await,
    }
}

/// Stores a change, which is in force at once.
fn store<T>(gateway: &Gateway, change: impl FnOnce(&mut Written) -> T) -> Result<(), Response> {
    gateway.write(change).map_err(|cause| {
        tracing::error!(error = %cause, "cannot write the data file");
        error(StatusCode::INTERNAL_SERVER_ERROR, "Could not store")
    })?;
    gateway.reload();
    Ok(())
}
