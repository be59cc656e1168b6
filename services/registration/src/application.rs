//! What is known here of an application. A change may come before the first approval; so the newest is kept, whether
//! there is an OAuth client yet or not.

use portico_eventstore::{Fact, Newest};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is followed of an application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Which name and redirect URLs it has. They are asked for when they are needed, and kept nowhere here: people write
    /// them. Another id means others.
    pub profile: Uuid,
    /// Position in the log of the access-request service. Messages come in any order; the highest is the newest.
    pub as_of: i64,
    /// An admin has suspended it.
    pub suspended: bool,
    /// Its owner's account was erased: of its name and redirect URLs nothing may be left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub erased: bool,
}

/// The newest that is known of an application.
pub(crate) type KnownApplication = Newest<Application>;

impl Fact for Application {
    const CATEGORY: &'static str = "application";

    fn is_newer_than(&self, known: &Self) -> bool {
        self.as_of > known.as_of
    }
}
