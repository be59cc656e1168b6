//! The errors of a call: what a caller is told where a command, the store or the vault refuses.

use portico_eventstore::{ExecuteError, StoreError};
use portico_proto::{Error, FieldError, Kind};
use portico_vault::VaultError;
use uuid::Uuid;

/// The error of a failed command; an internal cause is logged here, once.
pub fn refuse<R>(error: ExecuteError<R>) -> Error
where
    R: std::error::Error + Into<Error>,
{
    match error {
        ExecuteError::Rejected(rejection) => rejection.into(),
        ExecuteError::VersionMismatch { expected, actual } => Error::new(
            Kind::Conflict,
            "version_mismatch",
            format!(
                "It was changed meanwhile: you have version {expected}, it is at version {actual}."
            ),
        ),
        ExecuteError::KeyReused => key_reused(),
        ExecuteError::Store(error) => store_error(error),
    }
}

/// As [`refuse`], where the command was put on a loaded version: a caller that gave none (`if_version` 0) is not told
/// about versions.
pub fn refuse_at<R>(if_version: u64, error: ExecuteError<R>) -> Error
where
    R: std::error::Error + Into<Error>,
{
    match error {
        ExecuteError::VersionMismatch { .. } if if_version == 0 => concurrent_change(),
        other => refuse(other),
    }
}

/// The error of a failing store; logged here, once.
pub fn store_error(error: StoreError) -> Error {
    match error {
        StoreError::Conflict { .. } => concurrent_change(),
        StoreError::Unavailable(_) | StoreError::Closed => {
            tracing::warn!(%error, "store unavailable");
            Error::unavailable(
                "store_unavailable",
                "The database is not available; try again in a moment.",
            )
        }
        StoreError::Newer(_) => {
            tracing::warn!(%error, "left to a newer replica");
            Error::unavailable(
                "newer_version_needed",
                "Portico is being updated, and a newer part of it has changed this; try again in a moment.",
            )
        }
        other => {
            tracing::error!(error = %other, "store failed");
            Error::internal()
        }
    }
}

/// The error of a failing query; logged here, once.
pub fn query_error(error: sqlx::Error) -> Error {
    store_error(StoreError::from(error))
}

/// The error of a failing vault; logged here, once. [`VaultError::Taken`] means that an idempotency key came with
/// another secret, since references are derived from it.
pub fn vault_error(error: VaultError) -> Error {
    match error {
        VaultError::Database(error) => query_error(error),
        VaultError::Taken => key_reused(),
        other => {
            tracing::error!(error = %other, "vault failed");
            Error::internal()
        }
    }
}

fn key_reused() -> Error {
    let message = "This Idempotency-Key was used for a different request; use a new one.";
    Error::new(Kind::Conflict, "idempotency_key_reused", message)
}

/// Another change came between loading and storing.
#[must_use]
pub fn concurrent_change() -> Error {
    let message = "Somebody else changed it at the same time; try again.";
    Error::new(Kind::Conflict, "concurrent_change", message)
}

/// Another `what` has the name, in upper or lower case.
#[must_use]
pub fn name_taken(what: &str) -> Error {
    let message = format!(
        "Another {what} has this `name`; names must differ in more than upper and lower case."
    );
    let mut error = Error::field("name", "name_taken", message);
    error.kind = Kind::Conflict;
    error
}

/// Parses an id in a request.
pub fn parse_id(field: &str, text: &str) -> Result<Uuid, Error> {
    text.parse().map_err(|_| {
        Error::field(
            field,
            "id_invalid",
            format!("`{field}` must be an id such as 0190b6f1-7c3e-7d2a-9b1e-5f3c2a1b0d4e."),
        )
    })
}

/// The message that a request must carry.
///
/// # Errors
/// It is not there: `<field>_missing`.
pub fn require<T>(field: &str, message: Option<T>) -> Result<T, Error> {
    message.ok_or_else(|| {
        let words = format!("`{field}` is needed.");
        Error::field(field, format!("{field}_missing"), words)
    })
}

/// Problems of one request that are told; who mends them is told the next ones. An error travels in metadata, which has a
/// bound.
const MOST_PROBLEMS: usize = 20;

/// Collects the problems of a request, so that all are reported at once, or the first twenty.
#[derive(Debug, Default)]
pub struct Problems(Vec<FieldError>);

impl Problems {
    /// Adds one.
    pub fn add(&mut self, field: impl Into<String>, code: &str, message: impl Into<String>) {
        if self.0.len() < MOST_PROBLEMS {
            self.0.push(FieldError {
                field: field.into(),
                code: code.to_owned(),
                message: message.into(),
            });
        }
    }

    /// Ok where there is none.
    pub fn into_result(self) -> Result<(), Error> {
        Error::fields(self.0).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_problems_the_first_twenty_are_told_in_one_frame() {
        let mut problems = Problems::default();
        for n in 0..500 {
            let field = format!("application.redirect_urls[{n}]");
            let message = format!("`{field}` {}", "must be something else. ".repeat(8));
            problems.add(field, "redirect_url_invalid", message);
        }
        let error = problems.into_result().unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        assert_eq!(error.fields.len(), 20);
        assert_eq!(error.fields[19].field, "application.redirect_urls[19]");
        // Peers of HTTP/2 take 16 kB of headers by default, and the details are in base64 (RFC 9113 section 6.5.2).
        let status = tonic::Status::from(error);
        assert!(
            status.details().len() < 11_000,
            "{}",
            status.details().len()
        );
    }
}
