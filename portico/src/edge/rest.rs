//! The REST API: one file for each resource, each to be read from top to bottom: routes, shapes, handlers. All
//! of them do no more than to translate between JSON and the services' messages.
//!
//! - [`input`]: reading bodies, queries and conditions
//! - [`answer`]: writing resources and lists
//! - [`etag`]: versions of resources in headers

use axum::{Router, middleware};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::Edge;

mod access_requests;
mod answer;
mod api_keys;
mod api_tokens;
mod applications;
mod cart;
mod client_types;
mod conformance;
mod credentials;
mod deliveries;
mod drift;
mod etag;
mod gateways;
mod identity_providers;
mod input;
mod lifecycle;
mod mail_templates;
mod orphans;
mod parked_messages;
mod plans;
pub(super) mod preview;
mod products;
mod relays;
pub(super) mod session;
mod users;

pub use answer::PREFIX;
pub(super) use mail_templates::named as mail_template;

/// Every route of the API and its description; a route without one cannot be added. `events` are the event stream's,
/// which stand in the same description.
pub(super) fn routes(events: OpenApiRouter<Edge>) -> (Router<Edge>, OpenApi) {
    let all = OpenApiRouter::default()
        .merge(session::routes())
        .merge(users::routes())
        .merge(api_tokens::routes())
        .merge(products::routes())
        .merge(plans::routes())
        .merge(cart::routes())
        .merge(applications::routes())
        .merge(credentials::routes())
        .merge(api_keys::routes())
        .merge(access_requests::routes())
        .merge(preview::routes())
        .merge(events)
        .merge(identity_providers::routes())
        .merge(client_types::routes())
        .merge(gateways::routes())
        .merge(conformance::routes())
        .merge(lifecycle::routes())
        .merge(orphans::routes())
        .merge(drift::routes())
        .merge(parked_messages::routes())
        .merge(relays::routes())
        .merge(deliveries::routes())
        .merge(mail_templates::routes());
    let (router, description) = OpenApiRouter::default().nest(PREFIX, all).split_for_parts();
    (
        router.layer(middleware::from_fn(answer::conditional)),
        description,
    )
}
