//! Writing messages.

use prost_types::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::Message;
use crate::time;

/// Writes a message as an object.
///
/// # Errors
/// The serializer's.
pub fn serialize<T: Message, S: Serializer>(message: &T, to: S) -> Result<S::Ok, S::Error> {
    let mut members = to.serialize_map(None)?;
    message.write(&mut members)?;
    members.end()
}

/// A time as RFC 3339 writes it.
#[derive(Debug)]
pub struct Time<'a>(pub &'a Timestamp);

impl Serialize for Time<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match time::from_proto(self.0) {
            Some(at) => to.collect_str(&at),
            None => to.serialize_none(),
        }
    }
}

/// What a text of JSON holds; null where it is none.
pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_default()
}
