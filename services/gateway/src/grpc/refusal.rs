//! What callers are told where a command, a rule between streams, the vault or a gateway refuses.

use portico_eventstore::{ExecuteError, StoreError};
use portico_proto::{Error, FieldError, Kind};
use portico_runtime::store_error;
use portico_vault::VaultError;

use crate::views::gateways::NAME_TAKEN;
use crate::worker::mapper::MappingFailure;

/// As [`portico_runtime::refuse`], and the rules of the views. A caller that gave no version (`if_version` 0) is not
/// told about versions.
pub(super) fn refuse_at<R>(if_version: u64, error: ExecuteError<R>) -> Error
where
    R: std::error::Error + Into<Error>,
{
    match error {
        ExecuteError::VersionMismatch { .. } if if_version == 0 => concurrent_change(),
        ExecuteError::Store(StoreError::Refused(NAME_TAKEN)) => name_taken(),
        other => portico_runtime::refuse(other),
    }
}

pub(super) fn concurrent_change() -> Error {
    Error::new(
        Kind::Conflict,
        "concurrent_change",
        "Somebody else changed it at the same time; try again.",
    )
}

pub(super) fn name_taken() -> Error {
    let message =
        "Another gateway has this `name`; names must differ in more than upper and lower case.";
    let mut error = Error::new(Kind::Conflict, "name_taken", message);
    error.fields = vec![FieldError {
        field: "name".to_owned(),
        code: "name_taken".to_owned(),
        message: message.to_owned(),
    }];
    error
}

/// The vault failed; logged here, once. [`VaultError::Taken`] means that an idempotency key came with another
/// secret, since references are derived from it.
pub(super) fn vault_error(error: VaultError) -> Error {
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

/// A gateway's failure as an admin reads it.
pub(super) fn failed(failure: MappingFailure) -> Error {
    match failure.code.as_str() {
        "gateway_not_found" => Error::not_found("gateway"),
        _ if failure.retry => Error::unavailable(failure.code, failure.reason),
        _ => Error::new(Kind::Conflict, failure.code, failure.reason),
    }
}
