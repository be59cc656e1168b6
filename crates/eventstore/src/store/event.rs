//! Events as they are appended and as they were recorded.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Result, StoreError,
    aggregate::{Aggregate, schema_version, upcast},
    trace::TraceContext,
};

/// A stream's name: `<category>-<uuid>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Stream(String);

impl Stream {
    /// The stream of one aggregate.
    pub fn of<A: Aggregate>(id: Uuid) -> Self {
        Self(format!("{}-{id}", A::CATEGORY))
    }

    /// As it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an event comes from. No personal datum: the actor is an id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// A user's id, or `service:<name>`.
    pub actor: String,
    /// The same for everything that one call from outside caused.
    pub correlation: Option<Uuid>,
    /// The event that caused this one.
    pub causation: Option<Uuid>,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Vendor-specific trace state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// Digest of the command that an `Idempotency-Key` came with, to recognise a reused key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_digest: Option<String>,
}

impl Metadata {
    /// The trace context, if there is one.
    pub fn trace_context(&self) -> Option<TraceContext> {
        let traceparent = self.traceparent.clone()?;
        Some(TraceContext {
            traceparent,
            tracestate: self.tracestate.clone(),
        })
    }

    /// The same with another trace context, or with none.
    #[must_use]
    pub fn at(self, trace_context: Option<TraceContext>) -> Self {
        let (traceparent, tracestate) = match trace_context {
            Some(trace_context) => (Some(trace_context.traceparent), trace_context.tracestate),
            None => (None, None),
        };
        Self {
            traceparent,
            tracestate,
            ..self
        }
    }
}

/// Who runs a command, and whether it is a repetition.
#[derive(Debug, Clone)]
pub struct Context {
    /// Goes into every event.
    pub metadata: Metadata,
    /// Time of recording.
    pub now: Timestamp,
    /// Event ids are derived from it, so a repeated command appends nothing. For a command that handles a public
    /// event it is derived from that event, for a call with an `Idempotency-Key` from the key.
    pub command_id: Uuid,
}

impl Context {
    /// The same caller and time for a further command of the same call; the label keeps their event ids apart.
    pub fn step(&self, label: &str) -> Self {
        Self {
            command_id: Uuid::new_v5(&self.command_id, label.as_bytes()),
            ..self.clone()
        }
    }

    /// The id of the `index`-th event that this command appends to `stream`.
    pub(crate) fn event_id(&self, stream: &Stream, index: usize) -> Uuid {
        Uuid::new_v5(&self.command_id, format!("{stream}/{index}").as_bytes())
    }
}

/// An event as JSON, which is parsed by whoever decodes it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload(Arc<str>);

impl Payload {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parsed.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn parse(&self) -> Result<Value> {
        serde_json::from_str(&self.0).map_err(StoreError::codec)
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Self(value.to_string().into())
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// An event to append.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Id of the event, by which repetitions are recognised.
    pub id: Uuid,
    /// `<category>.<variant>`.
    pub event_type: String,
    /// Version of the payload's schema; older ones are upcast when they are read.
    pub schema_version: i64,
    /// In the schema of its version.
    pub data: Payload,
    /// Causation, correlation, actor and trace context.
    pub metadata: Metadata,
}

impl NewEvent {
    /// Encodes a domain event.
    pub fn encode<A: Aggregate>(id: Uuid, event: &A::Event, metadata: Metadata) -> Result<Self> {
        let value = serde_json::to_value(event).map_err(StoreError::codec)?;
        let Value::Object(mut tagged) = value else {
            return Err(StoreError::Codec(format!(
                "{} event is not tagged",
                A::CATEGORY
            )));
        };
        let Some(Value::String(variant)) = tagged.remove("type") else {
            return Err(StoreError::Codec(format!(
                "{} event has no type",
                A::CATEGORY
            )));
        };
        let event_type = format!("{}.{variant}", A::CATEGORY);
        let schema_version = schema_version(A::UPCASTERS, &event_type);
        let data = tagged.remove("data").unwrap_or(Value::Null);
        Ok(Self {
            id,
            event_type,
            schema_version,
            data: data.into(),
            metadata,
        })
    }
}

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedEvent {
    /// 1, 2, 3, … in commit order, without a gap.
    pub position: i64,
    /// Id of the event, by which repetitions are recognised.
    pub id: Uuid,
    /// `<category>-<uuid>`.
    pub stream: String,
    /// 1, 2, 3, … within the stream.
    pub version: i64,
    /// `<category>.<variant>`.
    pub event_type: String,
    /// Version of the payload's schema; older ones are upcast when they are read.
    pub schema_version: i64,
    /// In the schema of its version.
    pub data: Payload,
    /// Causation, correlation, actor and trace context.
    pub metadata: Metadata,
    /// Clock reading of the append.
    pub recorded_at: Timestamp,
}

impl RecordedEvent {
    /// Whether it belongs to the aggregate.
    pub fn is<A: Aggregate>(&self) -> bool {
        self.category() == A::CATEGORY
    }

    /// The stream's category.
    pub fn category(&self) -> &str {
        // A uuid's text has 36 characters; the category may itself hold a dash.
        self.stream
            .get(..self.stream.len().saturating_sub(37))
            .unwrap_or_default()
    }

    /// The id of the aggregate.
    pub fn stream_id(&self) -> Uuid {
        let start = self.stream.len().saturating_sub(36);
        self.stream
            .get(start..)
            .and_then(|id| id.parse().ok())
            .unwrap_or_default()
    }

    /// Decodes the payload, upcast to the current version. `None` where it belongs to another aggregate.
    pub fn decode<A: Aggregate>(&self) -> Result<Option<A::Event>> {
        if !self.is::<A>() {
            return Ok(None);
        }
        self.decode_as(A::CATEGORY, A::UPCASTERS).map(Some)
    }

    fn decode_as<E: DeserializeOwned>(
        &self,
        category: &str,
        upcasters: &[crate::Upcaster],
    ) -> Result<E> {
        let newest = schema_version(upcasters, &self.event_type);
        if self.schema_version > newest {
            return Err(StoreError::Newer(format!(
                "version {} of {} at position {}",
                self.schema_version, self.event_type, self.position
            )));
        }
        let data = match self.schema_version == newest {
            true => self.data.clone(),
            false => {
                let data = self.data.parse()?;
                upcast(upcasters, &self.event_type, self.schema_version, data).into()
            }
        };
        let variant = self
            .event_type
            .get(category.len() + 1..)
            .unwrap_or_default();
        // The type first, so that the rest is read as what it is at once.
        let tagged = match data.as_str() {
            "null" => format!("{{\"type\":\"{variant}\"}}"),
            data => format!("{{\"type\":\"{variant}\",\"data\":{data}}}"),
        };
        serde_json::from_str(&tagged).map_err(|error| {
            let words = format!("{} at position {}: {error}", self.event_type, self.position);
            // A type, or a value of an enum in it, that was added later. Serde has no other sign of it.
            if error.to_string().starts_with("unknown variant ") {
                StoreError::Newer(words)
            } else {
                StoreError::Codec(words)
            }
        })
    }
}
