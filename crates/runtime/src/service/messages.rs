//! Messages between services. One that cannot be read is poison: it is parked with the reason.

use std::str::FromStr;

use portico_bus::Message;
use portico_eventstore::{consumer::PolicyError, relay::PublicEvent};
use portico_proto::{Error, Kind};
use uuid::Uuid;

/// A public event; the subject is `portico.<service>.<event_name>`.
pub fn encode(subject: &'static str, event: &impl prost::Message) -> PublicEvent {
    PublicEvent {
        subject,
        payload: event.encode_to_vec(),
    }
}

/// The event in a message.
///
/// # Errors
/// Poison: the payload cannot be decoded as this type.
pub fn decode<M: prost::Message + Default>(message: &Message) -> Result<M, PolicyError> {
    M::decode(message.payload.clone()).map_err(|error| {
        PolicyError::Poison(format!("{} cannot be read: {error}", message.subject))
    })
}

/// A header, such as `position`: the place of the event in its sender's log.
///
/// # Errors
/// Poison: it is missing or cannot be read.
pub fn header<T: FromStr>(message: &Message, name: &str) -> Result<T, PolicyError> {
    let text = message.headers.get(name);
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| PolicyError::Poison(format!("header {name} is missing or unreadable")))
}

/// Parses an id in a message; `field` names it in the reason.
///
/// # Errors
/// Poison: the text is not an id.
pub fn id(field: &str, text: &str) -> Result<Uuid, PolicyError> {
    text.parse()
        .map_err(|_| PolicyError::Poison(format!("{field} is not an id")))
}

/// What becomes of a message that needed an answer of another service and got an error instead. One that is away is
/// waited for, however long that takes.
#[must_use]
pub fn unanswered(error: &Error) -> PolicyError {
    match error.kind {
        Kind::Unavailable => PolicyError::Unavailable(error.to_string()),
        _ => PolicyError::Retry(error.to_string()),
    }
}
