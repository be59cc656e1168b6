//! Errors that callers get where a command or a rule between streams refuses.

use portico_eventstore::{ExecuteError, StoreError};
use portico_proto::{Error, Kind};
use portico_runtime::{WorkError, store_error, vault_error};
use uuid::Uuid;

use crate::providers::AccessError;
use crate::views::providers::{NAME_TAKEN, PROVIDER_IN_USE, PROVIDER_NOT_FOUND};

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

/// As [`portico_runtime::refuse_at`], and the rules of the views.
pub(crate) fn refuse_at<R>(if_version: u64, error: ExecuteError<R>) -> Error
where
    R: std::error::Error + Into<Error>,
{
    match error {
        ExecuteError::Store(StoreError::Refused(rule)) => broken(rule),
        other => portico_runtime::refuse_at(if_version, other),
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
    portico_runtime::name_taken("identity provider")
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
