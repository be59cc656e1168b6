//! The pages of admins. A guard in front of all routes keeps everybody else out, so that none can be forgotten.

use std::collections::{BTreeSet, HashMap};

use axum::{
    Router, extract::FromRequestParts, middleware::from_extractor_with_state, response::Redirect,
    routing::get,
};
use futures::future::join_all;
use http::request::Parts;
use portico_proto::accounts::v1::GetUserRequest;

use crate::edge::{
    Edge,
    problem::{Failure, Result},
    request::RequestContext,
};

mod access_requests;
mod client_types;
mod conformance;
mod drift;
mod gateways;
mod identity_providers;
mod lifecycle;
mod mails;
mod orphans;
mod parked;
mod plans;
mod products;
mod relays;
mod users;

/// Every page below `/admin`.
pub(super) fn routes(edge: &Edge) -> Router<Edge> {
    Router::new()
        .route("/", get(async || Redirect::to("/admin/access-requests")))
        .merge(access_requests::routes())
        .merge(identity_providers::routes())
        .merge(client_types::routes())
        .merge(products::routes())
        .merge(plans::routes())
        .merge(gateways::routes())
        .merge(users::routes())
        .merge(mails::routes())
        .merge(orphans::routes())
        .merge(conformance::routes())
        .merge(lifecycle::routes())
        .merge(drift::routes())
        .merge(parked::routes())
        .merge(relays::routes())
        .route_layer(from_extractor_with_state::<AdminGuard, _>(edge.clone()))
}

/// Guard that lets admins through. Services check it again for each call.
struct AdminGuard;

impl FromRequestParts<Edge> for AdminGuard {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self> {
        let ctx = RequestContext::from_request_parts(parts, edge).await?;
        ctx.caller().require_admin()?;
        Ok(Self)
    }
}

/// The names of users, by id. Users who were erased, or cannot be looked up now, have none.
async fn names(
    ctx: &RequestContext,
    ids: impl IntoIterator<Item = &str>,
) -> HashMap<String, String> {
    // Services act as well; only users have ids.
    let ids: BTreeSet<&str> = ids
        .into_iter()
        .filter(|id| id.parse::<uuid::Uuid>().is_ok())
        .collect();
    let found = ids.into_iter().map(|id| async move {
        let request = ctx.request(GetUserRequest { id: id.to_owned() });
        let user = ctx.accounts().get_user(request).await.ok()?.into_inner();
        let name = user.name.unwrap_or_else(|| "an erased user".to_owned());
        Some((user.id, name))
    });
    join_all(found).await.into_iter().flatten().collect()
}

/// The name of a user or service.
fn named(names: &HashMap<String, String>, by: &str) -> String {
    match names.get(by) {
        Some(name) => name.clone(),
        None => by.strip_prefix("service:").unwrap_or(by).to_owned(),
    }
}
