//! The server-rendered pages. One file for each part of the portal, read from top to bottom: routes, what the
//! page shows, what its forms do. Everything works without JavaScript: forms post, and the answer redirects.
//!
//! - [`theme`]: templates and styles, each of which the operator can replace
//! - [`view`]: what every page knows, and the page of an error
//! - [`form`]: reading forms, and showing them again with what was wrong
//! - [`show`]: messages of services as templates see them
//! - [`lists`]: searching, filters and paging
//! - [`markdown`]: documentation, without anything that could do harm

use axum::Router;

use super::Edge;

mod access_requests;
mod admin;
mod api_keys;
mod api_tokens;
mod applications;
mod cart;
mod catalogue;
mod checkout;
pub(super) mod commands;
mod confirm;
mod credentials;
mod dashboard;
mod form;
mod lists;
mod markdown;
mod session;
mod show;
#[cfg(test)]
mod tests;
mod theme;
mod view;

pub(super) use view::show_failures;

/// Every page.
pub(super) fn routes(edge: &Edge) -> Router<Edge> {
    Router::new()
        .merge(theme::routes())
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
        .nest("/admin", admin::routes(edge))
}
