//! The question before something that cannot be undone. It works without JavaScript: a page of its own.

use minijinja::context;
use portico_proto::Error;

use super::view::{Page, Shown};
use crate::edge::ask::Ask;

/// What is asked. The form posts to the address of the page itself.
pub(super) struct Question<'a> {
    pub(super) title: String,
    /// What follows from it.
    pub(super) consequence: &'a str,
    pub(super) button: &'a str,
    /// Where to go instead.
    pub(super) back: String,
    /// Of the thing as it was shown; 0: whatever it is.
    pub(super) version: u64,
    /// Whether a reason can be given.
    pub(super) reason: bool,
    pub(super) admin: bool,
}

impl Question<'_> {
    /// Shows the page, with what was wrong with the answer.
    pub(super) async fn show(self, ask: &Ask, error: Option<&Error>) -> Shown {
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
            .show(ask, shown)
            .await
    }
}
