//! NATS JetStream as the bus of separate processes.
//!
//! One stream holds `portico.>` in files; every consumer is a durable pull consumer for each of its subjects, with
//! explicit acknowledgement, shared by the replicas that use its name. Nothing has to be prepared on the server: the
//! stream and the consumers are made by [`Bus::declare`], and made again when the server lost its data.
//!
//! An unreachable server is no error: the client reconnects for ever, with back-off and jitter; meanwhile
//! [`Bus::publish`] and [`Bus::check`] return [`BusError::Unavailable`] and deliveries pause.

mod consumers;
mod deliveries;
mod pull;
mod settings;
mod stream;
mod wire;

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use async_nats::{
    Client,
    connection::State,
    jetstream::{
        self,
        consumer::PullConsumer,
        context::{ContextBuilder, PublishAckFuture, PublishErrorKind},
        message::PublishMessage,
    },
};
use async_trait::async_trait;
use futures::FutureExt;
use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{consumers::Durable, deliveries::NatsDeliveries, settings::Connection};
pub use consumers::durables;
pub use settings::NatsSettings;

use crate::{Bus, BusError, ConsumerSpec, Deliveries, Message, Receipt};

/// Timeout of the readiness check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection to NATS JetStream. Dropping it ends its deliveries.
pub struct NatsBus {
    inner: Arc<Inner>,
}

struct Inner {
    settings: NatsSettings,
    client: Client,
    js: jetstream::Context,
    connection: watch::Sender<Connection>,
    declared: Mutex<BTreeMap<&'static str, ConsumerSpec>>,
    restoring: tokio::sync::Mutex<()>,
    closed: CancellationToken,
    /// Running deliveries, which return their prefetched messages at shutdown.
    leaving: TaskTracker,
}

impl NatsBus {
    /// Connects, or keeps trying in the background when no server answers within `connect_wait`.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] when the address or a credentials or certificate file cannot be read.
    pub async fn connect(settings: NatsSettings) -> Result<Self, BusError> {
        let connection = watch::Sender::new(Connection::default());
        let client = settings
            .options(connection.clone())
            .await?
            .connect(settings.servers()?)
            .await
            .map_err(unavailable)?;
        let js = ContextBuilder::new()
            .timeout(settings.timeout)
            .ack_timeout(settings.timeout)
            .build(client.clone());
        let mut up = connection.subscribe();
        if timeout(
            settings.connect_wait,
            up.wait_for(|connection| connection.up),
        )
        .await
        .is_err()
        {
            tracing::warn!("NATS does not answer yet");
        }
        let inner = Inner {
            settings,
            client,
            js,
            connection,
            declared: Mutex::default(),
            restoring: tokio::sync::Mutex::default(),
            closed: CancellationToken::new(),
            leaving: TaskTracker::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

impl Drop for NatsBus {
    fn drop(&mut self) {
        self.inner.closed.cancel();
    }
}

impl Inner {
    fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    fn ready(&self) -> Result<(), BusError> {
        if self.is_up() {
            Ok(())
        } else {
            Err(BusError::Unavailable("not connected to NATS".into()))
        }
    }

    /// Number of the present connection; another one means that the server may have restarted.
    fn generation(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::SeqCst)
    }

    fn declared(&self) -> Vec<ConsumerSpec> {
        let declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        declared.values().cloned().collect()
    }

    fn remember(&self, consumers: &[ConsumerSpec]) {
        let mut declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        declared.extend(consumers.iter().map(|spec| (spec.name, spec.clone())));
    }

    async fn find_consumer(&self, durable: &Durable) -> Result<PullConsumer, BusError> {
        consumers::find(&self.js, &self.settings, durable).await
    }

    /// Creates the stream and the declared consumers where they are missing.
    async fn restore(&self) -> Result<(), BusError> {
        let _alone = self.restoring.lock().await;
        stream::ensure(&self.js, &self.settings).await?;
        for durable in self.declared().iter().flat_map(consumers::all) {
            consumers::ensure(&self.js, &self.settings, &durable).await?;
        }
        Ok(())
    }

    /// Waits for the publish acknowledgement. A lost connection loses it, too, so there is no use in waiting on.
    async fn acknowledged(
        &self,
        ack: PublishAckFuture,
        mut connection: watch::Receiver<Connection>,
    ) -> Result<(), BusError> {
        let ack = tokio::select! {
            biased;
            ack = ack.into_future() => ack,
            _ = connection.changed() => return Err(BusError::Unavailable("the connection was lost".into())),
        };
        let Err(error) = ack else {
            return Ok(());
        };
        if error.kind() == PublishErrorKind::StreamNotFound {
            // Many receipts fail together; one of them restores.
            if self.restoring.try_lock().is_ok() {
                self.restore().await?;
            }
        }
        Err(unavailable(error))
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn declare(&self, consumers: &[ConsumerSpec]) -> Result<(), BusError> {
        let inner = &self.inner;
        inner.remember(consumers);
        inner.ready()?;
        let _alone = inner.restoring.lock().await;
        stream::ensure(&inner.js, &inner.settings).await?;
        for durable in consumers.iter().flat_map(consumers::all) {
            consumers::declare(&inner.js, &inner.settings, &durable).await?;
        }
        Ok(())
    }

    async fn publish(&self, message: Message) -> Result<Receipt, BusError> {
        // The client would keep it until it is connected again, for as long as that takes.
        self.inner.ready()?;
        let connection = self.inner.connection.subscribe();
        let publish = PublishMessage::build()
            .headers(wire::headers(&message))
            .message_id(wire::message_id(&message))
            .payload(message.payload);
        let sent = self.inner.js.send_publish(message.subject, publish);
        let ack = timeout(self.inner.settings.timeout, sent)
            .await
            .map_err(unavailable)?
            .map_err(unavailable)?;
        let inner = Arc::clone(&self.inner);
        Ok(async move { inner.acknowledged(ack, connection).await }.boxed())
    }

    async fn consume(&self, consumer: &ConsumerSpec) -> Result<Box<dyn Deliveries>, BusError> {
        if !self
            .inner
            .declared()
            .iter()
            .any(|spec| spec.name == consumer.name)
        {
            return Err(BusError::Undeclared(consumer.name.into()));
        }
        Ok(Box::new(NatsDeliveries::new(&self.inner, consumer)))
    }

    /// Ends the deliveries, returns what they prefetched, and flushes the client.
    async fn close(&self) {
        let inner = &self.inner;
        inner.closed.cancel();
        inner.leaving.close();
        let said = async {
            inner.leaving.wait().await;
            inner.client.flush().await
        };
        // Without a connection there is nobody to send to; unacknowledged deliveries are repeated.
        let _ = timeout(inner.settings.timeout, said).await;
    }

    async fn check(&self) -> Result<(), BusError> {
        self.incarnation().await.map(drop)
    }

    async fn backlog(&self, consumer: &ConsumerSpec) -> Result<u64, BusError> {
        let inner = &self.inner;
        inner.ready()?;
        let count = async {
            let mut count = 0;
            for durable in consumers::all(consumer) {
                let found = inner.find_consumer(&durable).await?;
                let info = found.cached_info();
                count += info.num_pending + info.num_ack_pending as u64;
            }
            Ok(count)
        };
        timeout(CHECK_TIMEOUT, count).await.map_err(unavailable)?
    }

    /// When the stream was created; a recreated stream has lost its messages.
    async fn incarnation(&self) -> Result<Option<String>, BusError> {
        let inner = &self.inner;
        inner.ready()?;
        let present = timeout(CHECK_TIMEOUT, inner.js.get_stream(&inner.settings.stream))
            .await
            .map_err(unavailable)?;
        let created = match present {
            Ok(stream) => stream.cached_info().created,
            Err(_) => {
                inner.restore().await?;
                stream::ensure(&inner.js, &inner.settings).await?.created
            }
        };
        Ok(Some(format!("{}@{created}", inner.settings.stream)))
    }
}

fn unavailable(error: impl Display) -> BusError {
    BusError::Unavailable(error.to_string())
}
