//! `/healthz` and `/readyz` of a process that runs services and no edge.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{StatusCode, header};
use portico_eventstore::Database;
use portico_runtime::{Deps, Service};

struct Probes {
    deps: Deps,
    databases: Vec<(&'static str, Database)>,
}

/// What orchestrators ask, over plain HTTP.
pub(crate) fn router(deps: &Deps, services: &[Service]) -> Router {
    let databases = services
        .iter()
        .map(|service| (service.name.as_str(), service.store.database().clone()));
    let probes = Arc::new(Probes {
        deps: deps.clone(),
        databases: databases.collect(),
    });
    Router::new()
        .route(
            "/healthz",
            get(async || Json(serde_json::json!({ "alive": true }))),
        )
        .route("/readyz", get(ready))
        .with_state(probes)
}

/// The bus is told, but not needed: commands are taken without it.
async fn ready(State(probes): State<Arc<Probes>>) -> Response {
    let mut parts = Vec::new();
    let mut ready = !probes.deps.is_ending();
    for (name, database) in &probes.databases {
        let well = database.check().await.is_ok();
        ready &= well;
        parts.push(serde_json::json!({ "part": name, "ready": well }));
    }
    let bus = probes.deps.bus.check().await.is_ok();
    parts.push(serde_json::json!({ "part": "bus", "ready": bus }));
    let body = Json(serde_json::json!({
        "ready": ready, "ending": probes.deps.is_ending(), "parts": parts,
    }));
    if ready {
        return body.into_response();
    }
    let retry = [(header::RETRY_AFTER, "2")];
    (StatusCode::SERVICE_UNAVAILABLE, retry, body).into_response()
}
