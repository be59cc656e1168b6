//! Brings public events from the log to the bus: position -> publish -> checkpoint.
//!
//! The checkpoint moves only when the bus holds a message safely (its receipt), and only over the contiguous
//! prefix, so a crash at any point publishes again what may have been lost; consumers recognise it by its id.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt as _, stream::FuturesOrdered};
use jiff::Timestamp;
use portico_bus::{BusError, Message, SharedBus};
use sqlx::Row as _;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{EventStore, Lease, RecordedEvent, StoreError};

/// Messages that may be under way at once.
const WINDOW: usize = 256;
/// How often to look for what other replicas appended.
const POLL: Duration = Duration::from_secs(1);
/// Name of the checkpoint and of the lease.
const NAME: &str = "relay";

/// The time, from the runtime's clock.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A public event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicEvent {
    /// `portico.<service>.<event_name>`.
    pub subject: &'static str,
    /// Protobuf bytes.
    pub payload: Vec<u8>,
}

/// Translates private events into public ones; `None` for what stays private.
#[async_trait]
pub trait Publish: Send + Sync + 'static {
    /// The public event that a private one becomes. Must be a function of the log up to the event.
    async fn publish(
        &self,
        store: &EventStore,
        event: &RecordedEvent,
    ) -> Result<Option<PublicEvent>, StoreError>;
}

/// The relay of one service.
pub struct Relay {
    /// What it reads.
    pub store: EventStore,
    /// Where it publishes.
    pub bus: SharedBus,
    /// Translation.
    pub publish: Arc<dyn Publish>,
    /// One replica relays at a time.
    pub lease: Lease,
    /// Clock.
    pub now: Now,
}

impl Relay {
    /// Makes the lease name; the rest of [`Relay`] is plain data.
    pub fn lease_name() -> &'static str {
        NAME
    }

    /// Runs until shutdown. Failures are logged and tried again with back-off.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut backoff = Duration::from_millis(100);
        loop {
            let result = tokio::select! {
                () = shutdown.cancelled() => break,
                result = self.relay() => result,
            };
            match result {
                Ok(()) => backoff = Duration::from_millis(100),
                Err(error) => {
                    tracing::warn!(%error, "relay interrupted, trying again");
                    tokio::select! {
                        () = shutdown.cancelled() => break,
                        () = sleep(backoff) => backoff = (backoff * 2).min(Duration::from_secs(10)),
                    }
                }
            }
        }
        if let Err(error) = self.lease.release().await {
            tracing::debug!(%error, "relay lease not released");
        }
    }

    /// Relays from the checkpoint on until something fails or the lease is lost.
    async fn relay(&self) -> Result<(), RelayError> {
        if !self.lease.take((self.now)()).await? {
            sleep(POLL).await;
            return Ok(());
        }
        let mut renewed = (self.now)();
        let mut head = self.store.head();
        let mut cursor = self.checkpoint().await?;
        let mut saved = cursor;
        let mut safe = cursor;
        let mut in_flight = FuturesOrdered::new();
        loop {
            // Marks the head as seen before reading, so that no append between is slept over.
            head.borrow_and_update();
            let room = WINDOW.saturating_sub(in_flight.len());
            let events = if room == 0 {
                Vec::new()
            } else {
                self.store.read(cursor, room as i64).await?
            };
            let idle = events.is_empty();
            for event in events {
                cursor = event.position;
                let receipt = match self.publish.publish(&self.store, &event).await? {
                    Some(public) => Some(self.bus.publish(message(&event, public)).await?),
                    None => None,
                };
                in_flight.push_back(async move {
                    if let Some(receipt) = receipt {
                        receipt.await?;
                    }
                    Ok::<i64, BusError>(event.position)
                });
            }
            if idle {
                tokio::select! {
                    Some(position) = in_flight.next(), if !in_flight.is_empty() => safe = position?,
                    changed = timeout(POLL, head.changed()), if in_flight.len() < WINDOW => {
                        if matches!(changed, Ok(Err(_))) {
                            return Err(RelayError::Store(StoreError::Closed));
                        }
                    }
                }
            }
            while let Some(Some(position)) = futures::FutureExt::now_or_never(in_flight.next()) {
                safe = position?;
            }
            if safe > saved && (in_flight.is_empty() || safe - saved >= 64) {
                self.save(safe).await?;
                saved = safe;
            }
            if (self.now)().duration_since(renewed).as_secs() >= 3 {
                if !self.lease.take((self.now)()).await? {
                    return Ok(());
                }
                renewed = (self.now)();
            }
        }
    }

    async fn checkpoint(&self) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT position FROM checkpoints WHERE name = $1")
            .bind(NAME)
            .fetch_optional(self.store.database().pool())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
    }

    async fn save(&self, position: i64) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO checkpoints (name, position) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET position = excluded.position \
             WHERE checkpoints.position < excluded.position",
        )
        .bind(NAME)
        .bind(position)
        .execute(self.store.database().pool())
        .await?;
        Ok(())
    }
}

/// The message of a public event.
fn message(event: &RecordedEvent, public: PublicEvent) -> Message {
    let mut headers = BTreeMap::from([
        ("actor".to_owned(), event.metadata.actor.clone()),
        ("recorded-at".to_owned(), event.recorded_at.to_string()),
        ("position".to_owned(), event.position.to_string()),
    ]);
    if let Some(correlation) = event.metadata.correlation {
        headers.insert("correlation".to_owned(), correlation.to_string());
    }
    if let Some(traceparent) = &event.metadata.traceparent {
        headers.insert("traceparent".to_owned(), traceparent.clone());
    }
    Message {
        id: event.id,
        subject: public.subject.to_owned(),
        payload: public.payload.into(),
        headers,
    }
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Bus(#[from] BusError),
}
