//! NATS JetStream as the bus of separate processes.
//!
//! One stream holds `portico.>` in files; every consumer is a durable pull consumer for each of its subjects, with
//! explicit acknowledgement, shared by the replicas that use its name. Nothing has to be prepared on the server: the
//! stream and the consumers are made by [`Bus::declare`], and made again when the server lost its data.
//!
//! An unreachable server is no error: the client reconnects for ever, with back-off and jitter; meanwhile
//! [`Bus::publish`] returns [`BusError::Unavailable`] and deliveries pause. [`Bus::check`] tells what is wrong.

mod ages;
mod condition;
mod consumers;
mod deliveries;
mod probe;
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
use futures::{FutureExt, future::join_all};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    ages::{Ages, Look},
    condition::Condition,
    consumers::Durable,
    deliveries::NatsDeliveries,
    probe::Probe,
    settings::Connection,
};
pub use consumers::durables;
pub use settings::NatsSettings;

use crate::{Bus, BusError, ConsumerSpec, Deliveries, Message, NotReady, Receipt, Waiting};

/// For a question about the stream or a consumer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// For each of the two questions about what waits: both are answered, or are known not to be, before metrics lose patience.
const LOOK_TIMEOUT: Duration = Duration::from_millis(700);

/// A connection to NATS JetStream. Dropping it ends its deliveries.
pub struct NatsBus {
    inner: Arc<Inner>,
}

struct Inner {
    settings: NatsSettings,
    client: Client,
    js: jetstream::Context,
    connection: watch::Sender<Connection>,
    condition: Arc<Condition>,
    probe: Probe,
    ages: Ages,
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
        let condition = Arc::new(Condition::default());
        let client = settings
            .options(connection.clone(), Arc::clone(&condition))
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
            let why = condition.unreached();
            tracing::warn!(
                code = why.code,
                error = why.cause,
                "not connected to NATS yet"
            );
        }
        let inner = Inner {
            settings,
            client,
            js,
            connection,
            condition,
            probe: Probe::default(),
            ages: Ages::default(),
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

    fn ready(&self) -> Result<(), NotReady> {
        match self.is_up() {
            true => Ok(()),
            false => Err(self.condition.unreached()),
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
        let declared = self.declared();
        self.restore_only(declared.iter().flat_map(consumers::all))
            .await
    }

    /// Creates the stream and these consumers where they are missing. One that is refused keeps none from the others.
    async fn restore_only(
        &self,
        durables: impl IntoIterator<Item = Durable>,
    ) -> Result<(), BusError> {
        let _alone = self.restoring.lock().await;
        stream::ensure(&self.js, &self.settings).await?;
        let made = durables.into_iter().map(|durable| async move {
            consumers::ensure(&self.js, &self.settings, &durable).await
        });
        join_all(made).await.into_iter().collect()
    }

    /// Waits for the publish acknowledgement, and gives the place in the stream. A lost connection loses it, too, so
    /// there is no use in waiting on.
    async fn acknowledged(
        &self,
        ack: PublishAckFuture,
        mut connection: watch::Receiver<Connection>,
    ) -> Result<u64, NotReady> {
        let generation = self.generation();
        let ack = tokio::select! {
            biased;
            ack = ack.into_future() => ack,
            _ = connection.changed() => return Err(self.condition.unreached()),
        };
        let error = match ack {
            Ok(ack) => {
                self.condition.stored(generation);
                return Ok(ack.sequence);
            }
            Err(error) => error,
        };
        self.condition.not_stored();
        let mut why = probe::refused(&error);
        if error.kind() == PublishErrorKind::StreamNotFound {
            // Many receipts fail together; one of them restores.
            if self.restoring.try_lock().is_ok()
                && let Err(error) = self.restore().await
            {
                why.cause = error.to_string();
            }
        }
        Err(why)
    }

    /// What waits for a durable consumer, where the server tells.
    async fn waiting(&self, durable: &Durable, tail: Option<u64>) -> Waiting {
        let found = timeout(LOOK_TIMEOUT, self.find_consumer(durable)).await;
        let look = found.ok().and_then(Result::ok).zip(tail);
        let look = look.map(|(found, tail)| {
            let info = found.cached_info();
            Look {
                tail,
                floor: info.ack_floor.stream_sequence,
                waiting: info.num_pending + info.num_ack_pending as u64,
            }
        });
        Waiting {
            subject: durable.subject,
            messages: look.map(|look| look.waiting),
            oldest: self.ages.oldest(&durable.name, look, Instant::now()),
        }
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
        let made = consumers
            .iter()
            .flat_map(consumers::all)
            .map(|durable| async move {
                consumers::declare(&inner.js, &inner.settings, &durable).await
            });
        join_all(made).await.into_iter().collect()
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
        let receipt = async move { Ok(inner.acknowledged(ack, connection).await.map(drop)?) };
        Ok(receipt.boxed())
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

    async fn check(&self) -> Result<(), NotReady> {
        self.inner.ready()?;
        probe::check(&self.inner).await
    }

    async fn waiting(&self, consumer: &ConsumerSpec) -> Result<Vec<Waiting>, BusError> {
        let inner = &self.inner;
        inner.ready()?;
        // Before the consumers, so that none has gone beyond it.
        let stream = timeout(LOOK_TIMEOUT, inner.js.get_stream(&inner.settings.stream)).await;
        let stream = stream.ok().and_then(Result::ok);
        let tail = stream.map(|stream| stream.cached_info().state.last_sequence);
        let durables: Vec<Durable> = consumers::all(consumer).collect();
        let looks = durables.iter().map(|durable| inner.waiting(durable, tail));
        Ok(join_all(looks).await)
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
