//! Pulling deliveries, through reconnections and losses of the server's data.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{AckKind, consumer::pull, message::Acker};
use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _};
use tokio::{sync::watch, time::Instant};

use super::{
    Inner,
    settings::{Connection, backoff},
    unavailable, wire,
};
use crate::{BusError, ConsumerSpec, Deliveries, Delivery, Settle};

/// One pull request lives this long on the server.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// A consumer that is silent for two of these is looked for again.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A pull that lasted this long was no failure.
const STEADY: Duration = Duration::from_secs(8);

pub(super) struct NatsDeliveries {
    inner: Arc<Inner>,
    spec: ConsumerSpec,
    connection: watch::Receiver<Connection>,
    pull: Option<Pull>,
    /// Failures in a row; the first is logged, the others delay.
    failures: usize,
}

struct Pull {
    messages: pull::Stream,
    /// The connection it runs on, see [`Inner::generation`].
    generation: u64,
    opened: Instant,
}

impl NatsDeliveries {
    pub(super) fn new(inner: Arc<Inner>, spec: ConsumerSpec) -> Self {
        Self {
            connection: inner.connection.subscribe(),
            inner,
            spec,
            pull: None,
            failures: 0,
        }
    }

    /// Waits for the connection, finds the consumer or makes it again, and asks for messages.
    async fn open(&mut self) -> Result<Pull, BusError> {
        self.connection
            .wait_for(|connection| connection.up)
            .await
            .map_err(unavailable)?;
        let generation = self.inner.generation();
        let consumer = match self.inner.find_consumer(&self.spec).await {
            Ok(consumer) => consumer,
            Err(_) => {
                self.inner.restore().await?;
                self.inner.find_consumer(&self.spec).await?
            }
        };
        let messages = consumer
            .stream()
            .max_messages_per_batch(
                usize::try_from(self.inner.settings.batch).unwrap_or(usize::MAX),
            )
            .expires(PULL_EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(unavailable)?;
        Ok(Pull {
            messages,
            generation,
            opened: Instant::now(),
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
            Ok(pull) => {
                if self.failures > 0 {
                    tracing::info!(consumer = self.spec.name, "deliveries resumed");
                }
                self.pull = Some(pull);
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &dyn std::fmt::Display) {
        if self
            .pull
            .take()
            .is_some_and(|pull| pull.opened.elapsed() > STEADY)
        {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            tracing::warn!(consumer = self.spec.name, %error, "deliveries interrupted");
        }
    }

    /// The next message of the open pull, if there is one and it did not break.
    async fn pull(&mut self) -> Option<Delivery> {
        let pull = self.pull.as_mut()?;
        let message = tokio::select! {
            biased;
            // On a new connection the server does not know our requests any more. What was fetched ahead is
            // delivered again after the ack wait.
            _ = self.connection.changed() => {
                self.pull = None;
                return None;
            }
            message = pull.messages.next() => message,
        };
        match message {
            Some(Ok(message)) => {
                let generation = pull.generation;
                self.failures = 0;
                self.delivery(message, generation).await
            }
            Some(Err(error)) => {
                self.failed(&error);
                None
            }
            None => {
                self.failed(&"the server ended the pull");
                None
            }
        }
    }

    async fn delivery(
        &self,
        message: async_nats::jetstream::Message,
        generation: u64,
    ) -> Option<Delivery> {
        let attempt = message.info().ok()?.delivered;
        let (message, acker) = message.split();
        let Some(message) = wire::message(message) else {
            tracing::warn!(
                consumer = self.spec.name,
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

impl Drop for NatsDeliveries {
    /// Gives back what was fetched ahead, so that another replica has it at once and not after the ack wait.
    fn drop(&mut self) {
        let Some(mut pull) = self.pull.take() else {
            return;
        };
        while let Some(Some(Ok(message))) = pull.messages.next().now_or_never() {
            let (_, acker) = message.split();
            // Only queues the word; sent by the time that the bus is closed.
            if let Some(Err(error)) = acker.ack_with(AckKind::Nak(None)).now_or_never() {
                tracing::debug!(%error, "a delivery was not given back");
            }
        }
    }
}

#[async_trait]
impl Deliveries for NatsDeliveries {
    async fn next(&mut self) -> Option<Delivery> {
        let closed = self.inner.closed.clone();
        tokio::select! {
            biased;
            () = closed.cancelled() => None,
            delivery = self.persist() => Some(delivery),
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
        self.acker.ack_with(kind).await.map_err(unavailable)
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
