//! The public edge: REST, the event stream, the description of both, and public gRPC. It has no state of its own
//! but what it remembers for two seconds, and calls services by gRPC only.
//!
//! - [`request`]: who sends a request, whether it is forged, whether they may, what its body is made of
//! - [`rest`]: a file for each resource
//! - [`events`]: server-sent events
//! - [`openapi`]: the description of the REST API
//! - [`pages`]: the portal in the browser
//! - [`grpc`]: the public gRPC listener
//! - [`streams`]: how many stay open
//! - [`remembered`]: what the services answered a moment ago
//! - [`operations`]: what every service tells an operator about itself, gathered
//! - [`halves`]: what registration and gateway say about their neighbours, put together
//! - [`curl`]: commands to copy, for pages and REST
//! - [`problem`], [`headers`], [`health`]: what is the same everywhere

mod curl;
mod events;
mod grpc;
mod halves;
mod headers;
mod health;
mod openapi;
mod operations;
mod pages;
pub mod problem;
mod remembered;
pub mod request;
mod rest;
mod streams;
#[cfg(test)]
mod tests;

use std::{ops::Deref, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use portico_proto::Error;
use portico_runtime::{Deps, telemetry};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use self::{
    headers::Https,
    problem::Failure,
    remembered::Catalogue,
    request::auth::{Auth, Cookies},
    request::csrf::Csrf,
    request::refusals::{Refusals, Sender},
    request::{encoded, host},
    streams::Streams,
};

pub use grpc::grpc_router;
pub use rest::PREFIX;

/// The largest body, in bytes.
const LARGEST_BODY: usize = 1024 * 1024;
/// The longest time until an answer begins. A connection test of a slow provider may take most of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What handlers share. Cheap to clone, as every request does several times.
#[derive(Clone)]
pub struct Edge(Arc<Shared>);

/// Behind an [`Edge`].
pub struct Shared {
    /// Given to the process at its start.
    pub deps: Deps,
    /// Credentials to identities, and cookies.
    pub auth: Auth,
    /// Against forged requests.
    pub csrf: Csrf,
    /// Answers of the catalogue.
    catalogue: Catalogue,
    /// Open streams.
    streams: Streams,
    /// Users who were not allowed what they asked for.
    refusals: Refusals,
}

impl Deref for Edge {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Edge {
    /// From what the process was given.
    pub fn new(deps: &Deps) -> Self {
        let public_url = &deps.config.public_url;
        let cookies = Cookies::new(public_url.scheme() == "https");
        Self(Arc::new(Shared {
            auth: Auth::new(deps, cookies),
            csrf: Csrf::new(deps.kek.active().derive("edge-csrf"), public_url),
            catalogue: Catalogue::default(),
            streams: Streams::new(deps.config.connections),
            refusals: Refusals::new(deps),
            deps: deps.clone(),
        }))
    }
}

/// Everything that is served at the public address.
pub async fn router(deps: &Deps) -> Router {
    let edge = Edge::new(deps);
    let (api, description) = rest::routes(events::routes());
    let routes = Router::new()
        .merge(api)
        .merge(openapi::routes(description))
        .merge(pages::routes(&edge));
    let routes = match deps.config.health_listen {
        Some(_) => routes,
        None => routes.merge(health_routes(deps)),
    };
    around(routes, &edge)
}

/// `/healthz`, `/readyz` and `/metrics` of a process with the edge.
pub fn health_routes<S: Clone + Send + Sync + 'static>(deps: &Deps) -> Router<S> {
    health::of(deps).measured().routes()
}

/// What is the same for all routes, from the outside in. It is one layer, since a router copies all that is inside each of
/// its layers for every request.
fn around(routes: Router<Edge>, edge: &Edge) -> Router {
    let https = Https(edge.deps.config.public_url.scheme() == "https");
    let clock = edge.deps.clock.clone();
    routes
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(
            ServiceBuilder::new()
                .layer(from_fn_with_state(clock, telemetry::trace))
                .layer(from_fn_with_state(https, finish))
                .layer(from_fn_with_state(edge.clone(), pages::show_failures))
                .layer(CatchPanicLayer::custom(problem::panicked))
                .layer(from_fn_with_state(edge.clone(), admitted))
                .layer(DefaultBodyLimit::max(LARGEST_BODY)),
        )
        .with_state(edge.clone())
}

/// Middleware: failures as problem details, and the headers that every answer has.
async fn finish(State(https): State<Https>, request: Request, next: Next) -> Response {
    headers::secure(https, problem::finish(request, next).await)
}

/// Middleware: a request says which host it is for, and its address can be read; an answer must begin in time, though a
/// stream may go on for as long as it likes; and who was not allowed what they asked for is in the security log.
async fn admitted(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let readable = host::require(request.version(), request.headers())
        .and_then(|()| encoded::refuse_unreadable_address(request.uri()));
    if let Err(error) = readable {
        return Failure::from(error).into_response();
    }
    let sender = Sender::of(&request);
    let answered = async {
        let response = next.run(request).await;
        if let Some(failure) = response.extensions().get::<Failure>() {
            edge.refusals.failed(&edge.auth, sender, failure).await;
        }
        response
    };
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(response) => response,
        Err(_) => Failure::from(Error::unavailable(
            "timed_out",
            "The request timed out. Try again in a moment.",
        ))
        .into_response(),
    }
}
