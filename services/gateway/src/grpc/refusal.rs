//! What callers are told where a rule between streams or a gateway refuses.

use portico_eventstore::{ExecuteError, StoreError};
use portico_proto::{Error, Kind};

use crate::views::gateways::NAME_TAKEN;
use crate::worker::mapper::MappingFailure;

/// As [`portico_runtime::refuse_at`], and the rules of the views.
pub(super) fn refuse_at<R>(if_version: u64, error: ExecuteError<R>) -> Error
where
    R: std::error::Error + Into<Error>,
{
    match error {
        ExecuteError::Store(StoreError::Refused(NAME_TAKEN)) => name_taken(),
        other => portico_runtime::refuse_at(if_version, other),
    }
}

pub(super) fn name_taken() -> Error {
    portico_runtime::name_taken("gateway")
}

/// A gateway's failure as an admin reads it.
pub(super) fn failed(failure: MappingFailure) -> Error {
    match failure.code.as_str() {
        "gateway_not_found" => Error::not_found("gateway"),
        _ if failure.retry => Error::unavailable(failure.code, failure.reason),
        _ => Error::new(Kind::Conflict, failure.code, failure.reason),
    }
}
