//! Bus -> effect -> ack. The effect goes through the inbox ([`crate::EventStore::execute_once`]); what cannot be
//! handled is parked with its reason.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use portico_bus::{BusError, ConsumerSpec, Delivery, Message, SharedBus};
use sqlx::Row as _;
use tokio::{sync::Semaphore, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{Context, Database, InboxEntry, Metadata, StoreError, relay::Now};

/// Deliveries after which a message is parked.
pub const MAX_ATTEMPTS: u32 = 8;
/// Messages of one consumer that are handled at once.
const CONCURRENCY: usize = 16;

/// What a service does about other services' public events.
#[async_trait]
pub trait Policy: Send + Sync + 'static {
    /// Has its effect once for each message id, however often it is called.
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
    /// May go well later: delivered again with back-off, parked after [`MAX_ATTEMPTS`].
    #[error("{0}")]
    Retry(String),
    /// Will never go well: parked at once.
    #[error("{0}")]
    Poison(String),
}

impl From<StoreError> for PolicyError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Codec(_) | StoreError::EventIdReused(_) => Self::Poison(error.to_string()),
            other => Self::Retry(other.to_string()),
        }
    }
}

/// A consumer of one service.
pub struct Consumer {
    /// Durable name and subjects; declared on the bus before.
    pub spec: ConsumerSpec,
    /// Where from.
    pub bus: SharedBus,
    /// Where parked messages go.
    pub database: Database,
    /// What to do.
    pub policy: Arc<dyn Policy>,
    /// Clock.
    pub now: Now,
}

impl Consumer {
    /// Runs until shutdown; then finishes what it has begun.
    pub async fn run(self, shutdown: CancellationToken) {
        let this = Arc::new(self);
        let permits = Arc::new(Semaphore::new(CONCURRENCY));
        let tasks = TaskTracker::new();
        while !shutdown.is_cancelled() {
            let opened = tokio::select! {
                () = shutdown.cancelled() => break,
                opened = this.bus.consume(&this.spec) => opened,
            };
            let mut deliveries = match opened {
                Ok(deliveries) => deliveries,
                Err(error) => {
                    tracing::warn!(consumer = this.spec.name, %error, "cannot consume, trying again");
                    sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            loop {
                let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                    break;
                };
                let delivery = tokio::select! {
                    () = shutdown.cancelled() => break,
                    delivery = deliveries.next() => delivery,
                };
                let Some(delivery) = delivery else { break };
                let this = Arc::clone(&this);
                tasks.spawn(async move {
                    if let Err(error) = this.handle(delivery).await {
                        tracing::warn!(consumer = this.spec.name, %error, "delivery not settled");
                    }
                    drop(permit);
                });
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn handle(&self, delivery: Delivery) -> Result<(), BusError> {
        let message = &delivery.message;
        let entry = InboxEntry {
            consumer: self.spec.name.to_owned(),
            message_id: message.id,
        };
        let context = context(message, self.spec.name, (self.now)());
        match self.policy.handle(message, &context, entry).await {
            Ok(()) => delivery.settle.ack().await,
            Err(PolicyError::Retry(reason)) if delivery.attempt < MAX_ATTEMPTS => {
                tracing::warn!(consumer = self.spec.name, message_id = %message.id, subject = message.subject,
                    attempt = delivery.attempt, reason, "message will be delivered again");
                delivery.settle.retry(backoff(delivery.attempt)).await
            }
            Err(error) => match self
                .park(message, &error.to_string(), delivery.attempt)
                .await
            {
                Ok(()) => delivery.settle.ack().await,
                Err(store) => {
                    tracing::error!(consumer = self.spec.name, message_id = %message.id, error = %store,
                        "message could not be parked");
                    delivery.settle.retry(backoff(delivery.attempt)).await
                }
            },
        }
    }

    async fn park(&self, message: &Message, reason: &str, attempts: u32) -> Result<(), StoreError> {
        tracing::error!(consumer = self.spec.name, message_id = %message.id, subject = message.subject, reason,
            "message parked");
        let headers = serde_json::to_string(&message.headers)
            .map_err(|e| StoreError::Codec(e.to_string()))?;
        sqlx::query(
            "INSERT INTO parked (consumer, message_id, subject, payload, headers, reason, attempts, parked_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (consumer, message_id) DO UPDATE SET \
             reason = excluded.reason, attempts = excluded.attempts, parked_at = excluded.parked_at",
        )
        .bind(self.spec.name)
        .bind(message.id.to_string())
        .bind(message.subject.clone())
        .bind(hex(&message.payload))
        .bind(headers)
        .bind(reason.to_owned())
        .bind(i64::from(attempts))
        .bind((self.now)().to_string())
        .execute(self.database.pool())
        .await?;
        Ok(())
    }
}

/// How many messages of a consumer are parked; for health and metrics.
pub async fn parked(database: &Database, consumer: &str) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) FROM parked WHERE consumer = $1")
        .bind(consumer.to_owned())
        .fetch_one(database.pool())
        .await?;
    Ok(row.try_get(0)?)
}

/// 200 ms, doubled with each attempt, at most 30 s.
fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(200 << attempt.min(8)).min(Duration::from_secs(30))
}

/// The context of what a message causes: its ids come from the message, so a redelivery appends nothing.
pub fn context(message: &Message, consumer: &str, now: jiff::Timestamp) -> Context {
    let uuid = |name: &str| {
        message
            .headers
            .get(name)
            .and_then(|text| text.parse::<Uuid>().ok())
    };
    Context {
        metadata: Metadata {
            actor: format!("service:{consumer}"),
            correlation: uuid("correlation").or(Some(message.id)),
            causation: Some(message.id),
            traceparent: message.headers.get("traceparent").cloned(),
            command_digest: None,
        },
        now,
        command_id: Uuid::new_v5(&message.id, consumer.as_bytes()),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
