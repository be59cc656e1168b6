//! Errors that callers get where a command, a rule between streams, or the vault refuses.

use portico_eventstore::{ExecuteError, StoreError};
use portico_proto::{Error, FieldError, Kind};
use portico_runtime::store_error;
use portico_vault::VaultError;
use uuid::Uuid;

use crate::providers::AccessError;
use crate::views::providers::{NAME_TAKEN, PROVIDER_IN_USE, PROVIDER_NOT_FOUND};
use crate::worker::WorkError;

/// As [`portico_runtime::refuse`], and the rules of the views.
pub(crate) fn refuse<R>(error: ExecuteError<R>) -> Error
where
    R: std::error::Error + Into<Error>,
{
    match error {
        ExecuteError::Store(StoreError::Refused(rule)) => broken(rule),
        other => portico_runtime::refuse(other),
    }
}

/// As [`refuse`], where the command was put on a loaded version: a caller that gave none (`if_version` 0) is not
/// told about versions.
pub(crate) fn refuse_at<R>(if_version: u64, error: ExecuteError<R>) -> Error
where
    R: std::error::Error + Into<Error>,
{
    match error {
        ExecuteError::VersionMismatch { .. } if if_version == 0 => Error::new(
            Kind::Conflict,
            "concurrent_change",
            "Somebody else changed it at the same time; try again.",
        ),
        other => refuse(other),
    }
}

/// A rule between streams was broken.
fn broken(rule: &'static str) -> Error {
    match rule {
        NAME_TAKEN => name_taken(),
        PROVIDER_IN_USE => Error::new(
            Kind::Conflict,
            PROVIDER_IN_USE,
            "Delete the client types of this identity provider first.",
        ),
        PROVIDER_NOT_FOUND => Error::not_found("identity provider"),
        other => store_error(StoreError::Refused(other)),
    }
}

/// Another one has the name.
pub(crate) fn name_taken() -> Error {
    let message = "Another identity provider has this `name`; names must differ in more than upper and lower case.";
    let mut error = Error::new(Kind::Conflict, NAME_TAKEN, message);
    error.fields = vec![FieldError {
        field: "name".to_owned(),
        code: NAME_TAKEN.to_owned(),
        message: message.to_owned(),
    }];
    error
}

/// The vault failed; logged here, once. [`VaultError::Taken`] means that an idempotency key came with another
/// secret, since references are derived from it.
pub(crate) fn vault_error(error: VaultError) -> Error {
    match error {
        VaultError::Database(error) => store_error(StoreError::from(error)),
        VaultError::Taken => Error::new(
            Kind::Conflict,
            "idempotency_key_reused",
            "This Idempotency-Key was used for a different request; use a new one.",
        ),
        other => {
            tracing::error!(error = %other, "vault failed");
            Error::internal()
        }
    }
}

/// A provider cannot be talked to.
pub(crate) fn access_error(error: AccessError) -> Error {
    match error {
        AccessError::Rejected(rejection) => rejection.into(),
        AccessError::Vault(error) => vault_error(error),
    }
}

/// The worker stopped; logged here, once.
pub(crate) fn work_error(id: Uuid, error: &WorkError) -> Error {
    tracing::error!(%id, %error, "work for a caller stopped");
    Error::internal()
}
