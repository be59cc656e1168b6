//! The bus that carries public events between services.
//!
//! One trait, two backends with one contract: [`memory`] for one process and for tests (it can duplicate, delay,
//! reorder and drop deliveries from a seed), [`nats`] for NATS JetStream.
//!
//! Delivery is at least once and order is not promised; the event store's consumers know what they have handled.
//! The event stores are the truth: a message may be published again at any time, with the same id.

pub mod memory;
pub mod nats;

pub use memory::{Faults, MemoryBus};
pub use nats::{NatsBus, NatsSettings};

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use uuid::Uuid;

/// Header of a message that is republished on request, with the id of the request: the bus then accepts it although it
/// has seen the message's id a moment ago.
pub const REPUBLISHED: &str = "republished";

/// Header of a message that is published again, with the time (RFC 3339) by which a bus had it, this one or one that has
/// lost its data: its consumers may have handled it long ago.
pub const PUBLISHED_BY: &str = "published-by";

/// A public event on its way: `subject` is `portico.<service>.<event>`, `payload` its protobuf encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The event's id; also JetStream's `Nats-Msg-Id`.
    pub id: Uuid,
    /// `portico.<service>.<event_name>`, for example `portico.access.access_approved`.
    pub subject: String,
    /// Protobuf bytes of the public event. Never a secret or personal datum.
    pub payload: Bytes,
    /// Causation, correlation, actor, `traceparent`: see the event store's `Metadata`.
    pub headers: BTreeMap<String, String>,
}

/// Who consumes what. The name is durable: replicas that use the same name share the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerSpec {
    /// `[a-z0-9_-]+`, unique in the installation, for example `registration`.
    pub name: &'static str,
    /// Exact subjects, without wildcards.
    pub subjects: &'static [&'static str],
}

/// A message handed to a consumer. Dropping it without [`Delivery::ack`] or [`Delivery::retry`] has it delivered
/// again after the ack wait.
pub struct Delivery {
    /// The message as it was published.
    pub message: Message,
    /// 1 at the first delivery.
    pub attempt: u32,
    /// Backend's handle to settle the delivery.
    pub settle: Box<dyn Settle>,
}

impl Delivery {
    /// The effect is committed: the message is not delivered to this consumer again, save for duplicates.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] when the bus cannot be told; the message is then delivered again.
    pub async fn ack(&self) -> Result<(), BusError> {
        self.settle.ack().await
    }

    /// Asks for another delivery, not before `after`, with `attempt` one higher.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] when the bus cannot be told; the message is then delivered again after the ack wait.
    pub async fn retry(&self, after: Duration) -> Result<(), BusError> {
        self.settle.retry(after).await
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("message", &self.message)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// Settles a delivery at the backend.
#[async_trait]
pub trait Settle: Send + Sync {
    /// The effect is committed.
    async fn ack(&self) -> Result<(), BusError>;
    /// Deliver again, not before `after`.
    async fn retry(&self, after: Duration) -> Result<(), BusError>;
}

/// Resolves when the message cannot be lost any more: with JetStream at the publish acknowledgement, with the
/// memory bus when every declared consumer of the subject has acknowledged it. The relay moves its checkpoint
/// only then, so a crash of the one process loses nothing.
pub type Receipt = BoxFuture<'static, Result<(), BusError>>;

/// Deliveries of one consumer; `None` when the bus is closed.
#[async_trait]
pub trait Deliveries: Send {
    /// Waits for the next delivery. A lost connection is re-established inside and is not an error.
    /// Cancel-safe: a delivery is not lost when the future is dropped in a `select!`.
    async fn next(&mut self) -> Option<Delivery>;
}

/// Publishes and consumes public events.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Makes the streams and the durable consumers, before anything is published; repeatable, and the way to
    /// change a consumer's subjects. After [`BusError::Unavailable`] the bus still knows the consumers and makes
    /// them when it is back, so a service may start without its bus.
    async fn declare(&self, consumers: &[ConsumerSpec]) -> Result<(), BusError>;
    /// Hands the message over; the receipt tells when it is safe. Several may be under way at once.
    async fn publish(&self, message: Message) -> Result<Receipt, BusError>;
    /// Starts consuming under a declared name.
    async fn consume(&self, consumer: &ConsumerSpec) -> Result<Box<dyn Deliveries>, BusError>;
    /// Whether the bus takes messages and hands them out now; for readiness.
    async fn check(&self) -> Result<(), NotReady>;
    /// Flushes what is still to be sent, such as acknowledgements, before the process ends.
    async fn close(&self) {}
    /// What a declared consumer has not acknowledged yet, for each of its subjects; for metrics.
    async fn waiting(&self, consumer: &ConsumerSpec) -> Result<Vec<Waiting>, BusError>;
    /// Identity of the bus's stored messages; another one than before means that what had been published, and
    /// perhaps not yet consumed, is gone, and the relay has to publish it again. `None` when a receipt already
    /// means consumed, as with the memory bus.
    async fn incarnation(&self) -> Result<Option<String>, BusError> {
        Ok(None)
    }
}

/// What waits for a consumer under one of its subjects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// One of [`ConsumerSpec::subjects`].
    pub subject: &'static str,
    /// Messages that are not acknowledged yet; `None` when the bus does not tell.
    pub messages: Option<u64>,
    /// For how long the oldest of them has waited. When the bus does not tell, for how long it has not.
    pub oldest: Duration,
}

/// Why a bus does not do its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {cause}")]
pub struct NotReady {
    /// A stable code, which anybody may read.
    pub code: &'static str,
    /// In the words of the bus, for the log.
    pub cause: String,
}

/// A bus shared by the parts of a process.
pub type SharedBus = Arc<dyn Bus>;

/// An error of the bus. All pass with time, except [`BusError::Undeclared`].
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Not connected, no quorum, or the publish was not acknowledged in time.
    #[error("bus unavailable: {0}")]
    Unavailable(String),
    /// `consume` without `declare`: a programming error.
    #[error("consumer {0} was not declared")]
    Undeclared(String),
}

impl From<NotReady> for BusError {
    fn from(why: NotReady) -> Self {
        Self::Unavailable(why.cause)
    }
}
