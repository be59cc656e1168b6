//! The server-rendered pages. One file for each part of the portal, read from top to bottom: routes, what the
//! page shows, what its forms do. Everything works without JavaScript: forms post, and the response redirects.
//!
//! - [`developer`]: the pages for developers and visitors
//! - [`admin`]: the pages for admins, behind one guard
//! - [`theme`]: templates and styles, each of which the operator can replace
//! - [`page`]: what every page has in common
//! - [`failures`]: the page of an error; [`field_errors`]: errors above a form and beside its fields
//! - [`fetch`]: single things that several pages need
//! - [`form`]: reading forms; [`confirm`]: the question before something that cannot be undone
//! - [`show`]: messages of services as templates see them
//! - [`lists`]: search, filters and paging
//! - [`markdown`]: documentation, without active content

use axum::Router;

use super::Edge;

mod admin;
mod confirm;
mod developer;
mod failures;
mod fetch;
mod field_errors;
mod form;
mod lists;
mod markdown;
mod page;
mod show;
#[cfg(test)]
mod tests;
mod theme;

pub(super) use failures::show_failures;

/// Every page.
pub(super) fn routes(edge: &Edge) -> Router<Edge> {
    Router::new()
        .merge(theme::routes())
        .merge(developer::routes())
        .nest("/admin", admin::routes(edge))
}
