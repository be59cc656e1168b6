//! What went wrong with a call to a gateway, in words that may be kept and shown.

use std::time::Duration;

/// What to do about a [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Try again later, not before [`Failure::retry_after`].
    Retry,
    /// Trying again changes nothing: park it for an admin.
    Fail,
}

/// Why a call did not do what was asked. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {description}")]
pub struct Failure {
    /// Whether a retry can help.
    pub disposition: Disposition,
    /// Stable code for programs.
    pub code: String,
    /// For people; the gateway's own message where it had some.
    pub description: String,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// What the gateway asked for (RFC 9110 section 10.2.3).
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure that no answer told of.
    pub(crate) fn new(
        disposition: Disposition,
        code: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        Self {
            disposition,
            code: code.into(),
            description: description.into(),
            status: None,
            retry_after: None,
        }
    }

    /// As [`new`](Self::new), of what cannot go well by being repeated.
    pub(crate) fn fail(code: impl Into<String>, description: impl Into<String>) -> Self {
        Self::new(Disposition::Fail, code, description)
    }
}
