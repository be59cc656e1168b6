//! The question before something that cannot be undone. It works without JavaScript: a page of its own.

use minijinja::context;
use portico_proto::Error;

use super::page::{Page, PageResponse};
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
    /// Whether a reason can be given.
    pub(super) reason: bool,
    pub(super) admin: bool,
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
            reason => self.reason,
            admin => self.admin,
        };
        Page::new("confirm.html")
            .refused_if(error)
            .show(ctx, shown)
            .await
    }
}
