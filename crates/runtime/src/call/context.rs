//! The context of a call: the caller, the command's context, errors.

use portico_eventstore::{Context, ExecuteError, Metadata, StoreError, trace};
use portico_proto::{Error, FieldError, Kind};
use prost::Message;
use sha2::{Digest as _, Sha256};
use tonic::Request;
use uuid::Uuid;

use super::Caller;
use crate::{
    Clock,
    channel::{IDEMPOTENCY_KEY, REQUEST_ID},
};

const LONGEST_KEY: usize = 255;

/// The caller, and the context that its command runs in.
pub struct Call {
    /// Verified.
    pub caller: Caller,
    /// For the event store. Commands of one call need one [`Context::step`] each.
    pub context: Context,
    keyed: bool,
}

impl Call {
    /// Reads the metadata of a request. `command` names the method, so that one key can be used for several.
    pub fn of<T: Message>(
        request: &Request<T>,
        command: &str,
        clock: &Clock,
    ) -> Result<Self, Error> {
        let caller = Caller::of(request);
        let text = |name: &str| {
            request
                .metadata()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let key = text(IDEMPOTENCY_KEY);
        if key.is_some_and(|key| key.is_empty() || key.len() > LONGEST_KEY) {
            return Err(Error::field(
                "Idempotency-Key",
                "idempotency_key_invalid",
                format!("Idempotency-Key must have 1 to {LONGEST_KEY} characters."),
            ));
        }
        let command_id = match key {
            Some(key) => Uuid::new_v5(
                &Uuid::NAMESPACE_OID,
                format!("{}\n{command}\n{key}", caller.actor()).as_bytes(),
            ),
            None => clock.new_id(),
        };
        let metadata = Metadata {
            actor: caller.actor(),
            correlation: Some(
                text(REQUEST_ID)
                    .and_then(|id| id.parse().ok())
                    .unwrap_or(command_id),
            ),
            command_digest: key.map(|_| digest(request.get_ref())),
            ..Metadata::default()
        }
        .at(trace::TraceContext::given(text));
        Ok(Self {
            caller,
            context: Context {
                metadata,
                now: clock.now(),
                command_id,
            },
            keyed: key.is_some(),
        })
    }

    /// Id of what this call creates: the same again when the call is repeated with its idempotency key.
    pub fn new_id(&self, what: &str, clock: &Clock) -> Uuid {
        if self.keyed {
            Uuid::new_v5(&self.context.command_id, what.as_bytes())
        } else {
            clock.new_id()
        }
    }
}

fn digest<T: Message>(message: &T) -> String {
    use std::fmt::Write as _;
    Sha256::digest(message.encode_to_vec())
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

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
        ExecuteError::KeyReused => Error::new(
            Kind::Conflict,
            "idempotency_key_reused",
            "This Idempotency-Key was used for a different request; use a new one.",
        ),
        ExecuteError::Store(error) => store_error(error),
    }
}

/// The error of a failing store; logged here, once.
pub fn store_error(error: StoreError) -> Error {
    match error {
        StoreError::Conflict { .. } => Error::new(
            Kind::Conflict,
            "concurrent_change",
            "Somebody else changed it at the same time; try again.",
        ),
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

/// Collects the problems of a request, so that all are reported at once.
#[derive(Debug, Default)]
pub struct Problems(Vec<FieldError>);

impl Problems {
    /// Adds one.
    pub fn add(&mut self, field: impl Into<String>, code: &str, message: impl Into<String>) {
        self.0.push(FieldError {
            field: field.into(),
            code: code.to_owned(),
            message: message.into(),
        });
    }

    /// Ok where there is none.
    pub fn into_result(self) -> Result<(), Error> {
        Error::fields(self.0).map_or(Ok(()), Err)
    }
}
