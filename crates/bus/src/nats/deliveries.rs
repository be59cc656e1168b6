//! Pulling deliveries, through reconnections and losses of the server's data.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{self, AckKind, message::Acker};
use async_trait::async_trait;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream, SelectAll},
};
use tokio::{runtime::Handle, sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Inner,
    consumers::{self, Durable},
    pull::Pull,
    settings::{Connection, backoff},
    wire,
};
use crate::{BusError, ConsumerSpec, Deliveries, Delivery, Settle};

/// Deliveries of all subjects of a consumer.
pub(super) struct NatsDeliveries {
    closed: CancellationToken,
    all: SelectAll<BoxStream<'static, Delivery>>,
}

impl NatsDeliveries {
    pub(super) fn new(inner: &Arc<Inner>, spec: &ConsumerSpec) -> Self {
        // As streams, what one of them waits for goes on when another has a delivery.
        let all = consumers::all(spec).map(|durable| {
            let deliveries = DurableDeliveries::new(inner, durable, spec.subjects.len());
            let next = |mut deliveries: DurableDeliveries| async {
                Some((deliveries.persist().await, deliveries))
            };
            stream::unfold(deliveries, next).boxed()
        });
        Self {
            closed: inner.closed.clone(),
            all: stream::select_all(all),
        }
    }
}

/// Deliveries of one durable consumer.
struct DurableDeliveries {
    inner: Arc<Inner>,
    durable: Durable,
    /// The part of a batch that it requests.
    share: usize,
    connection: watch::Receiver<Connection>,
    pull: Option<Open>,
    /// Failures since the server last answered; the first is logged, the others delay.
    failures: usize,
}

struct Open {
    pull: Pull,
    /// The connection it runs on, see [`Inner::generation`].
    generation: u64,
}

impl DurableDeliveries {
    fn new(inner: &Arc<Inner>, durable: Durable, share: usize) -> Self {
        Self {
            connection: inner.connection.subscribe(),
            inner: Arc::clone(inner),
            durable,
            share: share.max(1),
            pull: None,
            failures: 0,
        }
    }

    /// Waits for the connection, finds or recreates the consumer, and requests messages.
    async fn open(&mut self) -> Result<Open, BusError> {
        self.connection
            .wait_for(|connection| connection.up)
            .await
            .map_err(super::unavailable)?;
        let generation = self.inner.generation();
        let consumer = match self.inner.find_consumer(&self.durable).await {
            Ok(consumer) => consumer,
            Err(_) => {
                self.inner.restore_only([self.durable.clone()]).await?;
                self.inner.find_consumer(&self.durable).await?
            }
        };
        let inner = &self.inner;
        // Those of all subjects together have to be handled in time.
        let batch = usize::try_from(inner.settings.batch).unwrap_or(usize::MAX) / self.share;
        Ok(Open {
            pull: Pull::open(&inner.client, inner.js.clone(), consumer, batch).await?,
            generation,
        })
    }

    async fn persist(&mut self) -> Delivery {
        loop {
            if self.pull.is_none() {
                self.reopen().await;
            }
            if let Some(delivery) = self.pull().await {
                return delivery;
            }
        }
    }

    /// Opens, or notes the failure.
    async fn reopen(&mut self) {
        if self.failures > 0 {
            tokio::time::sleep(backoff(self.failures)).await;
        }
        match self.open().await {
            Ok(pull) => self.pull = Some(pull),
            Err(error) => self.failed(&error),
        }
    }

    /// The server answers: to open a pull is not enough, since it may refuse each request for messages.
    fn succeeded(&mut self) {
        if self.failures > 0 {
            tracing::info!(consumer = self.durable.name, "deliveries resumed");
            self.inner.condition.resumed(&self.durable.name);
            self.failures = 0;
        }
    }

    fn failed(&mut self, error: &dyn std::fmt::Display) {
        self.pull = None;
        self.failures = self.failures.saturating_add(1);
        let reason = error.to_string();
        self.inner.condition.interrupted(&self.durable.name, reason);
        if self.failures == 1 {
            tracing::warn!(consumer = self.durable.name, %error, "deliveries interrupted");
        }
    }

    /// The next message of the open pull, if there is one and it did not break.
    async fn pull(&mut self) -> Option<Delivery> {
        let open = self.pull.as_mut()?;
        let generation = open.generation;
        let message = tokio::select! {
            biased;
            // On a new connection the server does not know our requests any more. What was fetched ahead is
            // delivered again after the ack wait.
            _ = self.connection.changed() => {
                self.pull = None;
                return None;
            }
            message = open.pull.next() => message,
        };
        match message {
            Ok(message) => {
                self.succeeded();
                self.delivery(message?, generation).await
            }
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    async fn delivery(&self, message: jetstream::Message, generation: u64) -> Option<Delivery> {
        let attempt = message.info().ok()?.delivered;
        let (message, acker) = message.split();
        let Some(message) = wire::message(message) else {
            tracing::warn!(
                consumer = self.durable.name,
                "a message without an event id was discarded"
            );
            // If this does not arrive, the message comes again and is discarded then.
            let _ = acker.ack_with(AckKind::Term).await;
            return None;
        };
        let settle = NatsSettle {
            inner: Arc::clone(&self.inner),
            acker,
            generation,
        };
        Some(Delivery {
            message,
            attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
            settle: Box::new(settle),
        })
    }
}

impl Drop for DurableDeliveries {
    /// Nothing is interrupted any more. Returns prefetched messages, so that another replica gets them at once and not after the ack wait.
    fn drop(&mut self) {
        self.inner.condition.resumed(&self.durable.name);
        let (Some(open), Ok(runtime)) = (self.pull.take(), Handle::try_current()) else {
            return;
        };
        let give_back = timeout(self.inner.settings.timeout, open.pull.give_back());
        self.inner.leaving.spawn_on(give_back, &runtime);
    }
}

#[async_trait]
impl Deliveries for NatsDeliveries {
    async fn next(&mut self) -> Option<Delivery> {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => None,
            delivery = self.all.next() => delivery,
        }
    }
}

struct NatsSettle {
    inner: Arc<Inner>,
    acker: Acker,
    generation: u64,
}

impl NatsSettle {
    async fn send(&self, kind: AckKind) -> Result<(), BusError> {
        // An acknowledgement names a place in the stream. Kept by the client over a reconnection to a server that
        // lost its data, it would acknowledge another message, which would then never be consumed.
        if !self.inner.is_up() || self.inner.generation() != self.generation {
            return Err(BusError::Unavailable(
                "the connection of this delivery is gone".into(),
            ));
        }
        self.acker.ack_with(kind).await.map_err(super::unavailable)
    }
}

#[async_trait]
impl Settle for NatsSettle {
    async fn ack(&self) -> Result<(), BusError> {
        self.send(AckKind::Ack).await
    }

    async fn retry(&self, after: Duration) -> Result<(), BusError> {
        self.send(AckKind::Nak(Some(after))).await
    }
}
