//! An answer of a provider as it came, before anything of it was understood.

use std::fmt;
use std::time::Duration;

use base64::prelude::BASE64_STANDARD;
use portico_runtime::outgoing::KnownSecrets;
use portico_vault::Secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::IntoStaticStr;

use super::received::Received;

/// The longest pause that an answer may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(86_400);

/// What a call was for; decides how its answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Step {
    /// RFC 7591 section 3.1.
    Register,
    /// RFC 7592 section 2.1. Its answer never changes a secret.
    Read,
    /// RFC 7592 section 2.2.
    Update,
    /// A new client secret.
    Rotate,
    /// A new registration access token by the management credentials.
    Reissue,
    /// Brings nothing to keep; never spooled.
    Other,
}

impl Step {
    /// Whether the answer to such a call is kept because the call makes or changes a client.
    pub(crate) fn changes(self) -> bool {
        matches!(
            self,
            Self::Register | Self::Update | Self::Rotate | Self::Reissue
        )
    }

    /// For traces and numbers.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

/// An answer as it came, before anything of it was understood. It may hold
/// secrets: `Debug` shows none, and it is stored encrypted only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawAnswer {
    /// What the call was for.
    pub step: Step,
    /// HTTP status.
    pub status: u16,
    /// The headers of interest, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, base64 in the serialized form.
    #[serde(with = "base64_body")]
    pub body: Vec<u8>,
    /// Secrets of the call that this answers. An answer may quote them.
    #[serde(default, with = "in_clear", skip_serializing_if = "Vec::is_empty")]
    pub(crate) sent: Vec<Secret>,
}

impl RawAnswer {
    /// An answer without headers.
    #[must_use]
    pub fn new(step: Step, status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            step,
            status,
            headers: Vec::new(),
            body: body.into(),
            sent: Vec::new(),
        }
    }

    /// The form in which a spool keeps it.
    ///
    /// # Errors
    /// None that this type can give.
    pub fn to_secret(&self) -> serde_json::Result<Secret> {
        serde_json::to_string(self).map(Secret::new)
    }

    /// Reads what [`RawAnswer::to_secret`] gave.
    ///
    /// # Errors
    /// The text is something else.
    pub fn from_secret(secret: &Secret) -> serde_json::Result<Self> {
        serde_json::from_str(secret.expose())
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// What nobody may be told of this answer: secrets that were sent, and those that it brings.
    pub(crate) fn secrets(&self) -> KnownSecrets {
        let received = Received::of(&self.body);
        let sent = self.sent.iter().map(Secret::expose);
        KnownSecrets::new(sent.chain(received.secrets.iter().map(String::as_str)))
    }

    /// Whether an object of the body has two members of one name. Readers differ in which of them counts (RFC 8259
    /// section 4).
    pub(crate) fn is_ambiguous(&self) -> bool {
        Received::of(&self.body).is_ambiguous
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(found, _)| found == name)?;
        Some(value.trim())
    }

    /// Retry-After (RFC 9110 section 10.2.3), as seconds or as a date; otherwise the instant at which a rate limit is
    /// lifted, Unix seconds, as Okta (`X-Rate-Limit-Reset`) and Auth0 (`X-RateLimit-Reset`) give it. Instants are
    /// compared with the answer's own date. A day at most.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let asked = self.header("retry-after").and_then(|value| {
            let seconds = value.parse::<u64>().ok();
            seconds.or_else(|| self.until(jiff::fmt::rfc2822::parse(value).ok()?.timestamp()))
        });
        let limited = self.status == 429;
        let lifted = ["x-rate-limit-reset", "x-ratelimit-reset"]
            .into_iter()
            .filter(|_| limited)
            .find_map(|name| self.header(name)?.parse().ok())
            .and_then(|seconds| self.until(jiff::Timestamp::from_second(seconds).ok()?));
        let seconds = asked.or(lifted)?;
        Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
    }

    /// Seconds from the answer's own date to an instant.
    fn until(&self, instant: jiff::Timestamp) -> Option<u64> {
        let date = jiff::fmt::rfc2822::parse(self.header("date")?).ok()?;
        let left = instant.duration_since(date.timestamp()).as_secs();
        Some(u64::try_from(left).unwrap_or(0))
    }
}

impl fmt::Debug for RawAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawAnswer")
            .field("step", &self.step)
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

mod base64_body {
    use super::{BASE64_STANDARD, Deserialize};
    use base64::Engine as _;

    pub(super) fn serialize<S: serde::Serializer>(body: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&BASE64_STANDARD.encode(body))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(d)?;
        BASE64_STANDARD
            .decode(text)
            .map_err(serde::de::Error::custom)
    }
}

/// For the spool, which is encrypted.
mod in_clear {
    use super::{Deserialize, Secret};

    pub(super) fn serialize<S: serde::Serializer>(
        sent: &[Secret],
        s: S,
    ) -> Result<S::Ok, S::Error> {
        s.collect_seq(sent.iter().map(Secret::expose))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        d: D,
    ) -> Result<Vec<Secret>, D::Error> {
        Vec::deserialize(d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_known_by_its_name_whatever_it_is_wrapped_in() {
        let body = serde_json::json!({
            "client": {"client_secrets": ["first-of-them", {"value": "second-of-them"}]},
            "registrationAccessToken": "a-rat-of-keycloak", "token_endpoint_auth_method": "client_secret_basic",
            "token_type": "Bearer", "password_required": "true", "client_id": "weather-app",
        });
        let answer = RawAnswer {
            sent: vec![Secret::new("sent-before-that")],
            ..RawAnswer::new(Step::Register, 201, body.to_string())
        };
        let secrets = answer.secrets();
        for text in [
            "first-of-them",
            "second-of-them",
            "a-rat-of-keycloak",
            "sent-before-that",
        ] {
            assert!(secrets.are_in(text), "{text}");
        }
        for text in ["client_secret_basic", "Bearer", "true", "weather-app"] {
            assert!(!secrets.are_in(text), "{text}");
        }
        let kept = answer.to_secret().unwrap();
        assert_eq!(RawAnswer::from_secret(&kept).unwrap(), answer);
    }

    fn pause(status: u16, headers: &[(&str, &str)]) -> Option<u64> {
        let answer = RawAnswer {
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..RawAnswer::new(Step::Other, status, "")
        };
        answer.retry_after().map(|pause| pause.as_secs())
    }

    const DATE: (&str, &str) = ("date", "Fri, 06 Nov 2026 08:49:37 GMT");

    #[test]
    fn a_pause_is_read_in_every_form() {
        assert_eq!(pause(429, &[("retry-after", "17")]), Some(17));
        let date = ("retry-after", "Fri, 06 Nov 2026 08:50:07 GMT");
        assert_eq!(pause(503, &[DATE, date]), Some(30));
        assert_eq!(pause(503, &[date]), None);
        for name in ["x-rate-limit-reset", "x-ratelimit-reset"] {
            assert_eq!(
                pause(429, &[DATE, (name, "1793955017")]),
                Some(40),
                "{name}"
            );
            assert_eq!(pause(429, &[DATE, (name, "1")]), Some(0));
            // Every answer has the header; only a 429 asks for a pause.
            assert_eq!(pause(500, &[DATE, (name, "1793955017")]), None);
        }
        assert_eq!(pause(429, &[("retry-after", "999999999")]), Some(86_400));
        assert_eq!(pause(429, &[("retry-after", "soon")]), None);
    }
}
