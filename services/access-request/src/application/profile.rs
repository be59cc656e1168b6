//! What the owner of an application wrote of it.

use serde::{Deserialize, Serialize};

use super::redirect_url::RedirectUrl;

/// Free texts, which may be about people: in the vault, never in an event, a message or a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// 1 to 100 characters.
    pub name: String,
    /// May be empty.
    pub description: String,
    /// Exact, without duplicates.
    pub redirect_urls: Vec<RedirectUrl>,
}

impl Profile {
    /// What people are shown in place of a profile that is erased.
    pub(crate) fn erased() -> Self {
        Self {
            name: "Erased application".to_owned(),
            ..Self::default()
        }
    }

    /// Whether registered clients have to follow from one to the other.
    pub(crate) fn differs_for_clients(&self, other: &Self) -> bool {
        self.name != other.name || self.redirect_urls != other.redirect_urls
    }
}
