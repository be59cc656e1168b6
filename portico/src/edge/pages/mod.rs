//! The server-rendered pages. One file for each part of the portal, read from top to bottom: routes, what the
//! page shows, what its forms do. Everything works without JavaScript: forms post, and the answer redirects.
//!
//! - [`view`]: templates of the theme and what every page knows
//! - [`form`]: reading forms, and showing them again with what was wrong

use axum::Router;

use super::Edge;

mod admin;
mod applications;
mod catalogue;
mod checkout;
mod form;
mod session;
mod theme;
mod view;

/// Every page.
pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .merge(theme::routes())
        .merge(session::routes())
        .merge(catalogue::routes())
        .merge(checkout::routes())
        .merge(applications::routes())
        .merge(admin::routes())
}
