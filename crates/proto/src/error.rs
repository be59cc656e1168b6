//! The one error that leaves a service, and how it looks as gRPC status and as problem details (RFC 9457).

use std::{borrow::Cow, collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};
use utoipa::ToSchema;

/// What sort of error it is; decides the gRPC code and the HTTP status, and nothing else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The caller can mend the request.
    Invalid,
    /// No valid session or API token.
    Unauthenticated,
    /// Signed in, but the role does not allow it.
    Forbidden,
    /// Not there, or somebody else's.
    NotFound,
    /// The state does not allow it (any more).
    Conflict,
    /// Too many tries; come back later.
    Limited,
    /// Something outside is away; the same call may succeed later.
    Unavailable,
    /// Our fault; the cause is in the log, never in the answer.
    Internal,
}

impl Kind {
    /// Every kind, for tests and documentation.
    pub const ALL: [Self; 8] = [
        Self::Invalid,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::Limited,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The gRPC status code.
    pub fn grpc_code(self) -> Code {
        match self {
            Self::Invalid => Code::InvalidArgument,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Forbidden => Code::PermissionDenied,
            Self::NotFound => Code::NotFound,
            Self::Conflict => Code::Aborted,
            Self::Limited => Code::ResourceExhausted,
            Self::Unavailable => Code::Unavailable,
            Self::Internal => Code::Internal,
        }
    }

    /// The HTTP status.
    pub fn http_status(self) -> http::StatusCode {
        match self {
            Self::Invalid => http::StatusCode::BAD_REQUEST,
            Self::Unauthenticated => http::StatusCode::UNAUTHORIZED,
            Self::Forbidden => http::StatusCode::FORBIDDEN,
            Self::NotFound => http::StatusCode::NOT_FOUND,
            Self::Conflict => http::StatusCode::CONFLICT,
            Self::Limited => http::StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => http::StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => http::StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A short human title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Invalid => "The request is not valid",
            Self::Unauthenticated => "Not signed in",
            Self::Forbidden => "Not allowed",
            Self::NotFound => "Not found",
            Self::Conflict => "Not possible in the present state",
            Self::Limited => "Too many requests",
            Self::Unavailable => "Temporarily unavailable",
            Self::Internal => "Internal error",
        }
    }

    fn from_grpc(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::OutOfRange => Self::Invalid,
            Code::Unauthenticated => Self::Unauthenticated,
            Code::PermissionDenied => Self::Forbidden,
            Code::NotFound => Self::NotFound,
            Code::Aborted | Code::AlreadyExists | Code::FailedPrecondition => Self::Conflict,
            Code::ResourceExhausted => Self::Limited,
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Self::Unavailable,
            _ => Self::Internal,
        }
    }
}

/// A field that was refused, with code and message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProblemField)]
pub struct FieldError {
    /// Path in the request, for example `items[0].plan_id`.
    pub field: String,
    /// Stable code for programs.
    pub code: String,
    /// What is wrong and what would be right, for a person.
    pub message: String,
}

/// What a service answers instead of a result. Built from a rejection; never carries an internal cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    /// Decides codes on the wire.
    pub kind: Kind,
    /// Stable `snake_case` word, the same over REST, gRPC and on the page.
    pub code: Cow<'static, str>,
    /// For a person: what is wrong and what would be right.
    pub message: String,
    /// Wrong fields, where the error is about fields.
    pub fields: Vec<FieldError>,
    /// When to try again, for `Limited` and `Unavailable`.
    pub retry_after: Option<Duration>,
}

const DOMAIN: &str = "portico";

impl Error {
    /// An error of a kind with its stable code and a message for a person.
    pub fn new(kind: Kind, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            message: message.into(),
            fields: Vec::new(),
            retry_after: None,
        }
    }

    /// `Invalid` because of one field; its code is also the error's.
    pub fn field(
        field: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        let (code, message) = (code.into(), message.into());
        let fields = vec![FieldError {
            field: field.into(),
            code: code.to_string(),
            message: message.clone(),
        }];
        Self {
            kind: Kind::Invalid,
            code,
            message,
            fields,
            retry_after: None,
        }
    }

    /// `Invalid` because of several fields; the first one's code is the error's. `None` where the list is empty.
    pub fn fields(fields: Vec<FieldError>) -> Option<Self> {
        let first = fields.first()?;
        let message = match fields.len() {
            1 => first.message.clone(),
            more => format!("{} ({} more)", first.message, more - 1),
        };
        Some(Self {
            kind: Kind::Invalid,
            code: first.code.clone().into(),
            message,
            fields,
            retry_after: None,
        })
    }

    /// `NotFound`, also for what belongs to somebody else.
    pub fn not_found(what: &str) -> Self {
        Self::new(
            Kind::NotFound,
            "not_found",
            format!("There is no such {what}."),
        )
    }

    /// `Internal`; the caller has logged the cause.
    pub fn internal() -> Self {
        Self::new(
            Kind::Internal,
            "internal",
            "Something went wrong on our side. It has been logged.",
        )
    }

    /// `Unavailable` for some seconds.
    pub fn unavailable(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        let mut error = Self::new(Kind::Unavailable, code, message);
        error.retry_after = Some(Duration::from_secs(2));
        error
    }

    /// The same error with a hint when to try again.
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Problem details of RFC 9457; `instance` is the trace or request id.
    pub fn problem(&self, instance: &str) -> Problem {
        Problem {
            r#type: format!("urn:portico:error:{}", self.code),
            title: self.kind.title().to_owned(),
            status: self.http_status().as_u16(),
            detail: self.message.clone(),
            instance: instance.to_owned(),
            code: self.code.to_string(),
            errors: self.fields.clone(),
        }
    }

    /// The HTTP status: the kind's, but 412 for a failed `If-Match` (RFC 9110 section 13.1.1).
    pub fn http_status(&self) -> http::StatusCode {
        if self.code == "version_mismatch" {
            http::StatusCode::PRECONDITION_FAILED
        } else {
            self.kind.http_status()
        }
    }
}

/// Problem details of RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:portico:error:<code>`.
    pub r#type: String,
    /// The sort of problem, for a person.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong and what would be right, for a person.
    pub detail: String,
    /// Id of the request, as in the header `x-request-id` and in the log.
    pub instance: String,
    /// Stable code for programs.
    pub code: String,
    /// Wrong fields, where it is about fields.
    pub errors: Vec<FieldError>,
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let mut metadata = HashMap::new();
        for (index, field) in error.fields.iter().enumerate() {
            metadata.insert(format!("field_code.{index}"), field.code.clone());
        }
        let mut details = ErrorDetails::new();
        details.set_error_info(error.code.to_string(), DOMAIN, metadata);
        if !error.fields.is_empty() {
            details.set_bad_request(
                error
                    .fields
                    .iter()
                    .map(|f| FieldViolation::new(&f.field, &f.message))
                    .collect::<Vec<_>>(),
            );
        }
        if let Some(after) = error.retry_after {
            details.set_retry_info(Some(after));
        }
        Self::with_error_details(error.kind.grpc_code(), error.message, details)
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let kind = Kind::from_grpc(status.code());
        let details = status.get_error_details();
        let Some(info) = details.error_info().filter(|info| info.domain == DOMAIN) else {
            return foreign(kind, &status);
        };
        let fields = details.bad_request().map_or_else(Vec::new, |bad| {
            bad.field_violations
                .iter()
                .enumerate()
                .map(|(index, violation)| FieldError {
                    field: violation.field.clone(),
                    code: info
                        .metadata
                        .get(&format!("field_code.{index}"))
                        .unwrap_or(&info.reason)
                        .clone(),
                    message: violation.description.clone(),
                })
                .collect()
        });
        Self {
            kind,
            code: info.reason.clone().into(),
            message: status.message().to_owned(),
            fields,
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
        }
    }
}

/// A status that no Portico service made: the transport's, whose words are for the log only.
fn foreign(kind: Kind, status: &Status) -> Error {
    tracing::warn!(code = ?status.code(), message = status.message(), "call failed outside a service");
    match kind {
        Kind::Internal => Error::internal(),
        Kind::Unavailable => {
            Error::unavailable("service_unavailable", "A part of Portico is not reachable.")
        }
        other => Error::new(other, "refused", other.title()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_map_to_these_codes() {
        let table: Vec<(Kind, i32, u16)> = Kind::ALL
            .iter()
            .map(|k| (*k, k.grpc_code() as i32, k.http_status().as_u16()))
            .collect();
        assert_eq!(
            table,
            [
                (Kind::Invalid, 3, 400),
                (Kind::Unauthenticated, 16, 401),
                (Kind::Forbidden, 7, 403),
                (Kind::NotFound, 5, 404),
                (Kind::Conflict, 10, 409),
                (Kind::Limited, 8, 429),
                (Kind::Unavailable, 14, 503),
                (Kind::Internal, 13, 500),
            ]
        );
    }

    #[test]
    fn an_error_survives_the_wire() {
        for kind in Kind::ALL {
            let mut error = Error::new(kind, "some_code", "Some words.");
            error.fields = vec![
                FieldError {
                    field: "a".into(),
                    code: "a_missing".into(),
                    message: "A.".into(),
                },
                FieldError {
                    field: "b[0]".into(),
                    code: "b_wrong".into(),
                    message: "B.".into(),
                },
            ];
            error.retry_after = Some(Duration::from_secs(7));
            assert_eq!(Error::from(Status::from(error.clone())), error);
        }
    }

    #[test]
    fn a_transport_error_does_not_leak_its_words() {
        let error = Error::from(Status::unknown(
            "connect to 10.0.0.1:5432: password authentication failed",
        ));
        assert_eq!(error, Error::internal());
    }

    #[test]
    fn a_version_mismatch_is_412() {
        let error = Error::new(Kind::Conflict, "version_mismatch", "Changed meanwhile.");
        assert_eq!(error.problem("trace").status, 412);
    }
}
