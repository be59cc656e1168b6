//! The question before something that cannot be undone. It works without JavaScript: a page of its own.

use minijinja::context;
use portico_proto::Error;

use super::page::{PageResponse, render};
use crate::edge::request::RequestContext;

/// A question to be confirmed. The form posts to the address of the page itself.
pub(super) struct Question<'a> {
    pub(super) title: String,
    /// What the action leads to.
    pub(super) consequence: &'a str,
    pub(super) button: &'a str,
    pub(super) back: String,
    /// Version of what was shown; 0 for any.
    pub(super) version: u64,
}

impl Question<'_> {
    /// Renders the page, with the error of the answer.
    pub(super) async fn show(self, ctx: &RequestContext, error: Option<&Error>) -> PageResponse {
        let shown = context! {
            title => self.title,
            consequence => self.consequence,
            button => self.button,
            back => self.back,
            version => self.version,
            admin => ctx.uri().path().starts_with("/admin/"),
        };
        render(ctx, "confirm.html", shown, error).await
    }
}
