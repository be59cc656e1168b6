//! The type of a provider: the name of its driver.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A name in the table of drivers. Stored as it is, so that another version's type is read, too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProviderType(String);

impl ProviderType {
    /// The type with this name; whether there is a driver for it is the table's to say.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The name in the API.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
