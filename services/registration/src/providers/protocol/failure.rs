//! What went wrong with a call, and what to do about it.

use std::time::Duration;

use super::message::provider_message;
use super::session::{RawAnswer, Step};

/// What to do about a [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Try again later, not before [`Failure::retry_after`].
    Retry,
    /// Trying again changes nothing: park it for an admin.
    Fail,
    /// The provider takes no registrations from us until an admin gives a new initial access token.
    PauseProvider,
    /// The client is there, but what we hold does not allow to manage it.
    Unmanageable,
    /// The client is not at the provider (any more).
    Gone,
}

/// Why a call did not do what was asked. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {description}")]
pub struct Failure {
    /// Whether a retry can help, or an admin must act.
    pub disposition: Disposition,
    /// A stable word: ours, or an error code of RFC 6749, 6750 or 7591 as the provider gave it.
    pub code: String,
    /// For people; the provider's own message where it had some.
    pub description: String,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// What the provider asked for (RFC 9110 section 10.2.3).
    pub retry_after: Option<Duration>,
    /// The provider may have done what was asked all the same.
    pub outcome_unknown: bool,
    /// The provider says that it did what was asked, in an answer that cannot be used: what may be shown of it.
    pub unread: Option<String>,
}

/// Code of a client that may be gone: nothing that is known here lets it be managed, and nothing else can be asked.
pub(crate) const PERHAPS_GONE: &str = "client_perhaps_gone";
/// Code of a 404 that is not the provider's own word on the client: a proxy, or an endpoint of former times, says the same.
pub(crate) const ABSENCE_UNCLEAR: &str = "client_absence_unclear";

/// What comes of a call.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure that does not come from an answer.
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
            outcome_unknown: false,
            unread: None,
        }
    }

    /// As [`new`](Self::new), of what cannot go well by being repeated.
    pub(crate) fn fail(code: impl Into<String>, description: impl Into<String>) -> Self {
        Self::new(Disposition::Fail, code, description)
    }

    /// The client cannot be managed; `why` says what is missing.
    pub(crate) fn unmanageable(why: &str) -> Self {
        Self::new(Disposition::Unmanageable, "client_unmanageable", why)
    }

    /// The same, to be tried again.
    pub(crate) fn retry(mut self) -> Self {
        self.disposition = Disposition::Retry;
        self
    }

    /// The same, with what is known beyond what the provider said.
    pub(crate) fn because(mut self, why: &str) -> Self {
        self.description = format!("{}; {why}", self.description);
        self
    }

    /// The provider's own word that the client is not there.
    pub(crate) fn gone(self) -> Self {
        Self {
            outcome_unknown: false,
            ..self.with(Disposition::Gone, "client_not_at_provider")
        }
    }

    /// Of a call that is not about one client: what makes a client unmanageable stops the whole provider here.
    pub(crate) fn of_provider(mut self) -> Self {
        if self.disposition == Disposition::Unmanageable {
            self.disposition = Disposition::PauseProvider;
        }
        self
    }

    pub(crate) fn unknown_outcome(mut self) -> Self {
        self.outcome_unknown = true;
        self
    }

    /// Whether the provider gave no message of its own.
    pub(crate) fn says_nothing(&self) -> bool {
        let text = self.description.to_lowercase();
        text.starts_with("the provider ")
            || text.split_whitespace().count() < 3
            || text == self.code
    }

    pub(crate) fn with(mut self, disposition: Disposition, code: &str) -> Self {
        self.disposition = disposition;
        self.code = code.into();
        self
    }
}

/// The bearer that a refused call had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// None at all.
    None,
    /// The client's own credentials, at the token endpoint (RFC 6749 section 5.2).
    Client,
    /// An initial access token (RFC 7591 section 1.2).
    Initial,
    /// A registration access token (RFC 7592 section 3).
    Registration,
    /// A token of the management credentials.
    Management,
    /// A token of the provider's own administration.
    Api,
}

/// Reads an answer that is no success.
pub(crate) fn refusal(answer: &RawAnswer, bearer: Bearer) -> Failure {
    let (error, description) = provider_message(answer);
    let code = error.unwrap_or_else(|| format!("http_{}", answer.status));
    let failure = Failure {
        disposition: Disposition::Fail,
        code,
        description,
        status: Some(answer.status),
        retry_after: answer.retry_after(),
        outcome_unknown: matches!(answer.status, 408 | 500 | 502 | 504)
            || came_twice(answer, bearer),
        unread: None,
    };
    let scope_is_unknown = scope_is_unknown(&failure);
    let is_forbidden = matches!(answer.status, 401 | 403) && !scope_is_unknown;
    let token_is_bad = token_is_bad(&failure, answer) && !scope_is_unknown;
    let manages = [Bearer::Registration, Bearer::Management, Bearer::Api].contains(&bearer);
    let is_about_client = manages && answer.step != Step::Register;
    match (answer.status, bearer) {
        (408 | 425 | 429, _) | (500.., _) => failure.retry(),
        (_, Bearer::Initial) if token_is_bad => {
            failure.with(Disposition::PauseProvider, "initial_access_token_refused")
        }
        (_, Bearer::None) if token_is_bad || is_forbidden => {
            failure.with(Disposition::PauseProvider, "initial_access_token_missing")
        }
        _ if manages && (token_is_bad || is_forbidden) => {
            let code = match bearer {
                Bearer::Management => "management_credentials_refused",
                Bearer::Api => "api_token_refused",
                _ => "registration_access_token_refused",
            };
            failure.with(Disposition::Unmanageable, code)
        }
        (410, _) if is_about_client => failure.gone(),
        // Whose 404 it is only a driver can tell, by its body or by another question.
        (404, _) if is_about_client => failure
            .with(Disposition::Retry, ABSENCE_UNCLEAR)
            .unknown_outcome(),
        _ if scope_is_unknown => failure.with(Disposition::Fail, "scope_unknown_at_provider"),
        _ => failure,
    }
}

/// A token that is rotated with each update is refused where an update came in twice, as by a proxy that tries again: the
/// first one may have done it.
fn came_twice(answer: &RawAnswer, bearer: Bearer) -> bool {
    let changes = matches!(answer.step, Step::Update | Step::Rotate);
    changes && answer.status == 401 && bearer == Bearer::Registration
}

/// 401 says so, and elsewhere the codes of RFC 6750 section 3.1; servers made with Authlib answer 400 `access_denied`.
fn token_is_bad(failure: &Failure, answer: &RawAnswer) -> bool {
    let codes = ["invalid_token", "insufficient_scope", "access_denied"];
    answer.status == 401
        || (matches!(answer.status, 400 | 403) && codes.contains(&failure.code.as_str()))
}

/// Whether a scope of the client is meant. RFC 7591 section 3.2.2 has no code of its own for that, and
/// `insufficient_scope` is by RFC 6750 section 3.1 about the token of the call, but at Keycloak about the client.
fn scope_is_unknown(failure: &Failure) -> bool {
    let text = failure.description.to_lowercase();
    let names_scope = text.contains("scope");
    match failure.code.as_str() {
        "invalid_scope" => true,
        "insufficient_scope" => names_scope && !text.contains("token"),
        "invalid_client_metadata" => names_scope,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::session::Step;

    fn answer(status: u16, body: &str) -> RawAnswer {
        RawAnswer::new(Step::Other, status, body)
    }

    #[test]
    fn every_status_has_its_disposition() {
        use Disposition::{Fail, Gone, PauseProvider, Retry, Unmanageable};
        let table = [
            (429, Bearer::Initial, Retry),
            (500, Bearer::Initial, Retry),
            (503, Bearer::Registration, Retry),
            (400, Bearer::Initial, Fail),
            (401, Bearer::Initial, PauseProvider),
            (403, Bearer::None, PauseProvider),
            (401, Bearer::Registration, Unmanageable),
            (404, Bearer::Registration, Retry),
            (410, Bearer::Registration, Gone),
            (403, Bearer::Management, Unmanageable),
            (401, Bearer::Api, Unmanageable),
            (404, Bearer::Api, Retry),
            (410, Bearer::Api, Gone),
            (404, Bearer::Initial, Fail),
            (302, Bearer::Initial, Fail),
        ];
        for (status, bearer, expected) in table {
            let failure = refusal(&answer(status, ""), bearer);
            assert_eq!(failure.disposition, expected, "{status} {bearer:?}");
        }
        // There is no client yet: it is the endpoint that is not there.
        let nowhere = RawAnswer::new(Step::Register, 404, "");
        assert_eq!(
            refusal(&nowhere, Bearer::Api).to_string().split(':').next(),
            Some("http_404")
        );
        assert_eq!(refusal(&nowhere, Bearer::Api).disposition, Fail);
    }

    #[test]
    fn an_unknown_scope_has_one_code_at_every_call() {
        for (error, status) in [
            ("invalid_scope", 400),
            ("insufficient_scope", 403),
            ("invalid_client_metadata", 400),
        ] {
            for bearer in [Bearer::Initial, Bearer::Registration, Bearer::Management] {
                let body = format!(r#"{{"error":"{error}","error_description":"no such scope"}}"#);
                let failure = refusal(&answer(status, &body), bearer);
                assert_eq!(failure.code, "scope_unknown_at_provider");
                assert_eq!(failure.disposition, Disposition::Fail);
                assert_eq!(failure.description, "no such scope");
            }
        }
    }

    /// RFC 6750 section 3.1, in the body (Spring Authorization Server) or in the challenge alone.
    #[test]
    fn a_token_that_may_not_register_is_told_from_a_scope_that_is_unknown() {
        let rfc = "The request requires higher privileges than provided by the access token.";
        let mut told = answer(403, "");
        told.headers = vec![(
            "www-authenticate".into(),
            format!(
                r#"Bearer error="insufficient_scope", error_description="{rfc}", error_uri="x""#
            ),
        )];
        for answer in [
            answer(403, r#"{"error":"insufficient_scope"}"#),
            told.clone(),
        ] {
            for (bearer, code) in [
                (Bearer::Initial, "initial_access_token_refused"),
                (Bearer::Management, "management_credentials_refused"),
                (Bearer::Api, "api_token_refused"),
                (Bearer::Registration, "registration_access_token_refused"),
            ] {
                assert_eq!(refusal(&answer, bearer).code, code);
            }
        }
        assert_eq!(refusal(&told, Bearer::Initial).description, rfc);
    }

    /// Authlib and what is made with it.
    #[test]
    fn a_refused_token_may_be_answered_with_400() {
        let body = r#"{"error":"access_denied","error_description":"The authorization server denied the request"}"#;
        let initial = refusal(&answer(400, body), Bearer::Initial);
        assert_eq!(initial.disposition, Disposition::PauseProvider);
        let registration = refusal(&answer(400, body), Bearer::Registration);
        assert_eq!(registration.disposition, Disposition::Unmanageable);
        let token = refusal(
            &answer(401, r#"{"error":"invalid_client"}"#),
            Bearer::Client,
        );
        assert_eq!(
            (token.code.as_str(), token.disposition),
            ("invalid_client", Disposition::Fail)
        );
    }

    #[test]
    fn only_a_gateway_or_server_error_leaves_the_outcome_open() {
        for (status, open) in [
            (500, true),
            (502, true),
            (504, true),
            (503, false),
            (429, false),
            (400, false),
        ] {
            let failure = refusal(&answer(status, ""), Bearer::Initial);
            assert_eq!(failure.outcome_unknown, open, "{status}");
        }
    }
}
