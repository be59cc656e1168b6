//! A secret in memory.

use std::fmt;

use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// A secret or a personal datum, in clear, in memory.
///
/// `Debug` is redacted, there is no `Display` and no `Serialize`, comparing
/// takes the same time wherever two texts of one length differ, and the memory
/// is overwritten on drop. [`Secret::expose`] is the only way to the text, so a
/// search for it finds every place where one leaves.
///
/// ```compile_fail
/// fn leak(secret: &portico_vault::Secret) -> String {
///     secret.to_string()
/// }
/// ```
/// ```compile_fail
/// fn leak(secret: &portico_vault::Secret) -> serde_json::Result<String> {
///     serde_json::to_string(secret)
/// }
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over. A `&str` is copied; overwriting the original is then the caller's matter.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text in clear. Call it where the text is used, and keep nothing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no text at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_it() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(***)");
    }

    #[test]
    fn equal_texts_are_equal() {
        assert_eq!(Secret::new("a"), Secret::from("a"));
        assert_ne!(Secret::new("a"), Secret::new("b"));
        assert_ne!(Secret::new("a"), Secret::new("ab"));
    }

    #[test]
    fn reads_from_json() {
        let secret: Secret = serde_json::from_str("\"s\"").unwrap();
        assert_eq!(secret.expose(), "s");
    }
}
