//! What went wrong with a call to a gateway, in words that may be kept and shown.

use std::time::Duration;

/// Characters of a gateway's own message that are kept.
const DESCRIPTION: usize = 400;
/// A run of this many token characters is taken for a token. A UUID has 36.
const TOKEN_LIKE: usize = 40;

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
}

/// One line of limited length without control characters; a run of token characters that is as long as a token, or
/// begins as a part of a JWT does (base64url of `{"`), is replaced.
pub(crate) fn sanitized(text: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut clean = String::new();
    for word in text.split_whitespace() {
        if !clean.is_empty() {
            clean.push(' ');
        }
        let mut rest = word;
        while !rest.is_empty() {
            let (run, tail) = rest.split_at(rest.find(|c| !is_token(c)).unwrap_or(rest.len()));
            if run.len() >= TOKEN_LIKE || run.starts_with("eyJ") {
                clean.push_str("[redacted]");
            } else {
                clean.push_str(run);
            }
            let next = tail.find(is_token).unwrap_or(tail.len());
            clean.extend(tail[..next].chars().filter(|c| !c.is_control()));
            rest = &tail[next..];
        }
    }
    if clean.chars().count() > DESCRIPTION {
        clean = clean.chars().take(DESCRIPTION).collect();
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_no_token() {
        let opaque = "A".repeat(43);
        let jwt = format!("eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.{opaque}");
        let text = sanitized(&format!(
            "token {jwt} and '{opaque}' at https://id.example/a\u{7}b"
        ));
        assert_eq!(
            text,
            "token [redacted].[redacted].[redacted] and '[redacted]' at https://id.example/ab"
        );
        assert!(sanitized(&"ab ".repeat(1000)).chars().count() <= DESCRIPTION + 1);
        let uuid = "0191d8e4-7b1c-7c3e-9f00-000000000000";
        assert_eq!(sanitized(uuid), uuid);
    }
}
