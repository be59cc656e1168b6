//! `/healthz`, `/readyz` and `/metrics` of a process that runs services and no edge.

use axum::Router;
use portico_runtime::{Deps, Health, Service};

/// What orchestrators ask, over plain HTTP.
pub(crate) fn router(deps: &Deps, services: &[Service]) -> Router {
    services
        .iter()
        .fold(Health::default(), |health, service| {
            health.database(service.name.as_str(), service.store.database())
        })
        .bus(&deps.bus)
        .clock(deps)
        .until_the_end_of(deps)
        .measured()
        .routes()
}
