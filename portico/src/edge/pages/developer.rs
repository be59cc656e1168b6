//! The pages for developers and visitors: from the catalogue to credentials.

use axum::Router;

use super::{confirm, fetch, form, lists, markdown, page, show};
use crate::edge::Edge;

mod access_requests;
mod api_keys;
mod api_tokens;
mod applications;
mod cart;
mod catalogue;
mod checkout;
mod credentials;
mod dashboard;
mod session;

/// Every page outside `/admin`.
pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .merge(session::routes())
        .merge(catalogue::routes())
        .merge(cart::routes())
        .merge(checkout::routes())
        .merge(dashboard::routes())
        .merge(applications::routes())
        .merge(credentials::routes())
        .merge(api_keys::routes())
        .merge(access_requests::routes())
        .merge(api_tokens::routes())
}
