//! Bus -> effect -> ack. A message has its effect once ([`crate::EventStore::execute_once`]); what cannot be
//! handled is parked with its reason.
//!
//! `parked`: what could not be handled; `marks`: what counts as handled although that is no longer written down

pub(crate) mod marks;
mod parked;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
pub use parked::{
    Parked, ParkedFilter, ParkedStatus, drop_parked, list_parked, parked, release_parked,
};
use portico_bus::{BusError, ConsumerSpec, Deliveries, Delivery, Message, SharedBus};
use tokio::{sync::Semaphore, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    Context, Database, ExecuteError, InboxEntry, Metadata, Result, StoreError, clock::Clock, fault,
    trace,
};

/// Deliveries after which a message is parked.
pub const MAX_ATTEMPTS: u32 = 8;
/// Messages of one consumer that are handled at once.
const CONCURRENCY: usize = 16;
/// Poll interval for parked messages that an admin has released.
const RELEASED_POLL: Duration = Duration::from_secs(3);

/// What a service does about other services' public events.
#[async_trait]
pub trait Policy: Send + Sync + 'static {
    /// Must have its effect once for each message id, however often it is called.
    async fn handle(
        &self,
        message: &Message,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError>;
}

/// Why a message was not handled.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A failure that may pass: delivered again with back-off, parked after [`MAX_ATTEMPTS`].
    #[error("{0}")]
    Retry(String),
    /// A message that can never be handled: parked at once.
    #[error("{0}")]
    Poison(String),
    /// A dependency is unavailable: delivered again with back-off until it is back, however long that takes.
    #[error("{0}")]
    Unavailable(String),
}

impl From<StoreError> for PolicyError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Codec(_) | StoreError::EventIdReused(_) => Self::Poison(error.to_string()),
            // Newer: a newer replica can handle it.
            StoreError::Unavailable(_) | StoreError::Closed | StoreError::Newer(_) => {
                Self::Unavailable(error.to_string())
            }
            other => Self::Retry(other.to_string()),
        }
    }
}

impl From<sqlx::Error> for PolicyError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl<R: std::error::Error> From<ExecuteError<R>> for PolicyError {
    /// A message whose command is refused for ever is poison.
    fn from(error: ExecuteError<R>) -> Self {
        match error {
            ExecuteError::Store(error) => error.into(),
            other => Self::Poison(other.to_string()),
        }
    }
}

/// A consumer of one service.
pub struct Consumer {
    /// Durable name and subjects; declared on the bus before.
    pub spec: ConsumerSpec,
    /// The bus that it pulls messages from.
    pub bus: SharedBus,
    /// Database of the service, which holds the inbox and parked messages.
    pub database: Database,
    /// Handles each message.
    pub policy: Arc<dyn Policy>,
    /// Clock for pauses and for the time of parking.
    pub clock: Clock,
}

impl Consumer {
    /// Runs until shutdown; then finishes what it has begun.
    pub async fn run(self, shutdown: CancellationToken) {
        let this = Arc::new(Running {
            of: self,
            drops: AtomicBool::new(true),
        });
        let tasks = TaskTracker::new();
        shutdown
            .run_until_cancelled(async { tokio::join!(this.consume(&tasks), this.retry_parked()) })
            .await;
        tasks.close();
        tasks.wait().await;
    }
}

/// A consumer at work.
struct Running {
    of: Consumer,
    /// Whether admins have dropped messages of it. As old as the last poll: of one that comes again just then, a replica
    /// may not know yet that it was dropped.
    drops: AtomicBool,
}

impl Running {
    async fn consume(self: &Arc<Self>, tasks: &TaskTracker) {
        let permits = Arc::new(Semaphore::new(CONCURRENCY));
        loop {
            match self.of.bus.consume(&self.of.spec).await {
                Ok(deliveries) => self.take_from(deliveries, &permits, tasks).await,
                Err(error) => {
                    tracing::warn!(consumer = self.of.spec.name, %error, "cannot consume, trying again");
                }
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Handles deliveries, several at a time, until the bus ends them.
    async fn take_from(
        self: &Arc<Self>,
        mut deliveries: Box<dyn Deliveries>,
        permits: &Arc<Semaphore>,
        tasks: &TaskTracker,
    ) {
        // The permit comes first: a message that waits here for one could not go to another replica.
        while let Ok(permit) = Arc::clone(permits).acquire_owned().await
            && let Some(delivery) = deliveries.next().await
        {
            let this = Arc::clone(self);
            tasks.spawn(async move {
                let message = delivery.message.clone();
                let work = async {
                    if let Err(error) = this.handle(delivery).await {
                        tracing::warn!(consumer = this.of.spec.name, %error, "delivery not settled");
                    }
                };
                traced(&message, this.of.spec.name, work).await;
                drop(permit);
            });
        }
    }

    async fn handle(&self, delivery: Delivery) -> Result<(), BusError> {
        let subject = &delivery.message.subject;
        fault::point_of("handling", subject);
        match self.settle(&delivery.message).await {
            Ok(()) => {
                fault::point("acking");
                fault::point_of("acking", subject);
                delivery.settle.ack().await?;
                fault::point("acked");
                Ok(())
            }
            Err(error) if is_hopeless(&error, delivery.attempt) => {
                self.give_up(&delivery, &error).await
            }
            Err(error) => {
                tracing::warn!(consumer = self.of.spec.name, message_id = %delivery.message.id,
                    subject = delivery.message.subject, attempt = delivery.attempt, %error,
                    "message will be delivered again");
                delivery.settle.retry(backoff(delivery.attempt)).await
            }
        }
    }

    async fn give_up(&self, delivery: &Delivery, reason: &PolicyError) -> Result<(), BusError> {
        let (message, name, attempt) = (&delivery.message, self.of.spec.name, delivery.attempt);
        match parked::park(
            &self.of.database,
            name,
            message,
            reason,
            attempt,
            self.of.clock.now(),
        )
        .await
        {
            Ok(()) => {
                tracing::error!(consumer = name, message_id = %message.id, subject = message.subject, %reason,
                    "message parked");
                delivery.settle.ack().await
            }
            Err(error) => {
                tracing::error!(consumer = name, message_id = %message.id, %error, "message could not be parked");
                delivery.settle.retry(backoff(attempt)).await
            }
        }
    }

    /// A message from the bus, which may have been handled so long ago that only a mark is left of it. One that an admin
    /// released was not handled, whatever the mark says.
    async fn settle(&self, message: &Message) -> Result<(), PolicyError> {
        if marks::covers(&self.of.database, self.of.spec.name, message).await? {
            tracing::debug!(message_id = %message.id, subject = message.subject, "handled long ago");
            return Ok(());
        }
        self.attempt(message).await
    }

    async fn attempt(&self, message: &Message) -> Result<(), PolicyError> {
        if !self.of.spec.subjects.contains(&message.subject.as_str()) {
            // The durable consumer is shared with newer replicas, which may have asked for more.
            let words = format!("{} is for a newer version than this one", message.subject);
            return Err(PolicyError::Unavailable(words));
        }
        if self.drops.load(Ordering::Relaxed)
            && parked::was_dropped(&self.of.database, self.of.spec.name, message.id).await?
        {
            return Ok(());
        }
        tracing::debug!(message_id = %message.id, subject = message.subject, "handling a message");
        let entry = InboxEntry::of(message, self.of.spec.name);
        let context = context(message, self.of.spec.name, self.of.clock.now());
        self.of.policy.handle(message, &context, entry).await
    }

    /// Replays parked messages that an admin has released, and sees whether any was dropped.
    async fn retry_parked(&self) {
        loop {
            sleep(RELEASED_POLL).await;
            if let Err(error) = self.heed_admins().await {
                tracing::debug!(consumer = self.of.spec.name, %error, "released messages not read");
            }
        }
    }

    async fn heed_admins(&self) -> Result<()> {
        let (dropped, released) = parked::decided(&self.of.database, self.of.spec.name).await?;
        self.drops.store(dropped, Ordering::Relaxed);
        match released {
            true => self.retry_released().await,
            false => Ok(()),
        }
    }

    async fn retry_released(&self) -> Result<()> {
        let name = self.of.spec.name;
        for message in parked::released(&self.of.database, name).await? {
            match traced(&message, name, self.attempt(&message)).await {
                Ok(()) => parked::forget(&self.of.database, name, message.id).await?,
                Err(PolicyError::Unavailable(error)) => {
                    tracing::debug!(consumer = name, message_id = %message.id, error, "released message waits");
                }
                Err(error) => {
                    tracing::error!(consumer = name, message_id = %message.id, subject = message.subject,
                        reason = %error, "message parked again");
                    let now = self.of.clock.now();
                    parked::park_again(&self.of.database, name, message.id, &error, now).await?;
                }
            }
        }
        Ok(())
    }
}

/// Handles a message within its trace, with the id of the request from outside that caused it in every log line.
async fn traced<T>(message: &Message, consumer: &'static str, work: impl Future<Output = T>) -> T {
    let span = tracing::info_span!(
        target: trace::EXPORTED,
        "consume",
        otel.name = format_args!("consume {}", message.subject),
        otel.kind = "consumer",
        messaging.consumer.group.name = consumer,
        messaging.destination.name = message.subject,
        messaging.message.id = %message.id,
    );
    trace::follow(&span, trace_context(message).as_ref());
    let request_id = correlation(message);
    let lines = tracing::info_span!("message", consumer, %request_id, trace_id = trace::id(&span));
    trace::correlated(request_id, work.instrument(lines).instrument(span)).await
}

/// The trace context of a message.
fn trace_context(message: &Message) -> Option<trace::TraceContext> {
    trace::TraceContext::given(|name| message.headers.get(name).map(String::as_str))
}

/// The same for everything that one request from outside caused.
fn correlation(message: &Message) -> Uuid {
    let given = message.headers.get("correlation");
    given
        .and_then(|text| text.parse().ok())
        .unwrap_or(message.id)
}

fn is_hopeless(error: &PolicyError, attempt: u32) -> bool {
    match error {
        PolicyError::Unavailable(_) => false,
        PolicyError::Retry(_) => attempt >= MAX_ATTEMPTS,
        PolicyError::Poison(_) => true,
    }
}

/// 200 ms, doubled with each attempt, at most 30 s.
fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(200 << attempt.min(8)).min(Duration::from_secs(30))
}

/// The context of what a message causes: its ids come from the message, so a redelivery appends nothing.
pub fn context(message: &Message, consumer: &str, now: jiff::Timestamp) -> Context {
    Context {
        metadata: Metadata {
            actor: format!("service:{consumer}"),
            correlation: Some(correlation(message)),
            causation: Some(message.id),
            ..Metadata::default()
        }
        .at(trace_context(message)),
        now,
        command_id: InboxEntry::of(message, consumer).command_id(),
    }
}
