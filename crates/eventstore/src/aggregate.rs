//! The decider: `decide` and `evolve` of an aggregate, and upcasters of its old events.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The state of one stream, and the rules by which commands become events.
///
/// `decide` and `evolve` know no clock, no randomness and no I/O: the time and new ids arrive in the command.
/// Events are an enum with `#[serde(tag = "type", content = "data", rename_all = "snake_case")]`; a variant
/// without fields needs no `data`.
pub trait Aggregate: Default + Clone + Send + Sync + 'static {
    /// Prefix of streams and event types, for example `access_request`.
    const CATEGORY: &'static str;
    /// Upcasters of older event versions; the current version of a type is one more than it has upcasters.
    const UPCASTERS: &'static [Upcaster] = &[];
    /// Imperative: `Submit`, `Approve`.
    type Command: Send + Sync;
    /// Past tense: `Submitted`, `Approved`.
    type Event: Serialize + DeserializeOwned + Clone + Send + Sync;
    /// Why a command was refused, in the domain's words.
    type Rejection: std::error::Error + Send + Sync + 'static;

    /// The events that the command causes. A command that has already had its effect gives none.
    fn decide(&self, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Rejection>;
    /// Applies one event. Must accept every event that was ever stored.
    fn evolve(&mut self, event: &Self::Event);
}

/// Turns the payload of one version of an event type into the next version's.
#[derive(Debug, Clone, Copy)]
pub struct Upcaster {
    /// Full type, for example `access_request.approved`.
    pub event_type: &'static str,
    /// The version that it reads, from 1.
    pub from_version: i64,
    /// The conversion; it must not fail.
    pub upcast: fn(Value) -> Value,
}

/// The current schema version of an event type.
pub(crate) fn schema_version(upcasters: &[Upcaster], event_type: &str) -> i64 {
    upcasters
        .iter()
        .filter(|u| u.event_type == event_type)
        .map(|u| u.from_version + 1)
        .max()
        .unwrap_or(1)
}

/// Brings a stored payload to the current version.
pub(crate) fn upcast(
    upcasters: &[Upcaster],
    event_type: &str,
    version: i64,
    mut data: Value,
) -> Value {
    let mut version = version;
    while let Some(step) = upcasters
        .iter()
        .find(|u| u.event_type == event_type && u.from_version == version)
    {
        data = (step.upcast)(data);
        version += 1;
    }
    data
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const UPCASTERS: &[Upcaster] = &[
        Upcaster {
            event_type: "thing.made",
            from_version: 1,
            upcast: |d| json!({"name": d["title"]}),
        },
        Upcaster {
            event_type: "thing.made",
            from_version: 2,
            upcast: |d| json!({"names": [d["name"]]}),
        },
    ];

    #[test]
    fn old_payloads_pass_every_step() {
        assert_eq!(
            upcast(UPCASTERS, "thing.made", 1, json!({"title": "a"})),
            json!({"names": ["a"]})
        );
        assert_eq!(
            upcast(UPCASTERS, "thing.made", 2, json!({"name": "b"})),
            json!({"names": ["b"]})
        );
        assert_eq!(
            upcast(UPCASTERS, "thing.made", 3, json!({"names": []})),
            json!({"names": []})
        );
        assert_eq!(schema_version(UPCASTERS, "thing.made"), 3);
        assert_eq!(schema_version(UPCASTERS, "thing.lost"), 1);
    }
}
