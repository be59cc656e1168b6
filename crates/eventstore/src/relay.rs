//! Publishes the log's public events to the bus: read by position, publish, move the checkpoint.
//!
//! The checkpoint moves only when the bus holds a message safely (its receipt), and only over the contiguous
//! prefix, so a crash at any point publishes again what may have been lost; consumers recognise it by its id.
//!
//! A bus that lost its data (another [`portico_bus::Bus::incarnation`]) has another checkpoint, so that
//! everything is published again from the beginning. An admin can ask for the same ([`republish`]).

mod checkpoint;
pub(crate) mod published;
mod republish;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use checkpoint::Checkpoint;
use futures::{FutureExt as _, StreamExt as _, stream::FuturesOrdered};
use jiff::Timestamp;
use portico_bus::{BusError, Message, PUBLISHED_BY, REPUBLISHED, Receipt, SharedBus};
use published::Published;
use republish::Request;
pub use republish::{RelayStatus, Republishing, republish, status};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use crate::{EventStore, Lease, RecordedEvent, Result, StoreError, clock::Clock, fault, trace};

/// Most unacknowledged messages.
const WINDOW: usize = 256;
/// Events read at once. A page is several windows, or the bus would wait for each read.
const PAGE: i64 = 1024;
/// Poll interval for what other replicas appended.
const POLL: Duration = Duration::from_secs(1);
/// How often a replica that does not relay tries to.
const STANDBY: Duration = Duration::from_secs(2);
/// How often the checkpoint is moved, and after how many positions at the latest. What was published since then is
/// published again after a crash; moved with each event, the checkpoint would cost as many commits as the events.
const SAVE: Duration = Duration::from_secs(1);
const SAVE_EVERY: i64 = 4096;
/// How often to check whether the bus still has its messages, and whether an admin asked to republish.
const CHECK_SECONDS: i64 = 3;
const SHORTEST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// Name of the lease, and of the checkpoint.
const NAME: &str = "relay";

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
    ) -> Result<Option<PublicEvent>>;
}

/// The relay of one service.
pub struct Relay {
    /// Store whose events are published.
    pub store: EventStore,
    /// Bus that receives the public events.
    pub bus: SharedBus,
    /// Translates private events to public ones.
    pub publish: Arc<dyn Publish>,
    /// One replica relays at a time.
    pub lease: Lease,
    /// Clock for pauses and the lease.
    pub clock: Clock,
}

impl Relay {
    /// Name of the lease.
    pub const LEASE: &'static str = NAME;

    /// Runs until shutdown. Failures are logged and tried again with back-off.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut backoff = SHORTEST_BACKOFF;
        while !shutdown.is_cancelled() {
            let Err(error) = self.take_turn(&shutdown).await else {
                backoff = SHORTEST_BACKOFF;
                continue;
            };
            if let RelayError::Store(StoreError::Newer(event)) = &error {
                // Skipping it would lose it for ever. The lease is free for a replica that knows the event.
                tracing::warn!(
                    event,
                    "an event of a newer version waits for a replica of that version to be published"
                );
                backoff = LONGEST_BACKOFF;
            } else {
                tracing::warn!(%error, "relay interrupted, trying again");
            }
            shutdown.run_until_cancelled(sleep(backoff)).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    /// Relays while this replica holds the lease; waits where another one does.
    async fn take_turn(&self, shutdown: &CancellationToken) -> Result<(), RelayError> {
        let Some(held) = self.lease.acquire(&self.clock).await? else {
            shutdown.run_until_cancelled(sleep(STANDBY)).await;
            return Ok(());
        };
        match held.run(shutdown.run_until_cancelled(self.relay())).await {
            Ok(done) => done.unwrap_or(Ok(())),
            // The new holder publishes again what was under way; consumers recognise it.
            Err(lost) => {
                tracing::info!(%lost, "another replica relays");
                Ok(())
            }
        }
    }

    /// Relays from the checkpoint on until something fails, the bus has lost its messages or an admin asks to republish.
    async fn relay(&self) -> Result<(), RelayError> {
        let mut checked = self.clock.now();
        let (mut saved, mut looked) = (Instant::now(), None);
        let incarnation = self.bus.incarnation().await?;
        let mut progress = Progress::load(&self.store, incarnation.as_deref()).await?;
        let mut cursor = progress.saved;
        let mut safe = cursor;
        let mut head = self.store.head();
        let mut page = VecDeque::new();
        let mut in_flight = FuturesOrdered::new();
        loop {
            // Marks the head as seen before reading, so that no append between is slept over.
            let own = *head.borrow_and_update();
            let polls = looked.is_none_or(|at: Instant| at.elapsed() >= POLL);
            if page.is_empty() && (own > cursor || polls) {
                page = self.store.read(cursor, PAGE).await?.into();
                // There may be more where another replica has appended.
                let more = page.back().is_some_and(|last| last.position > own);
                looked = (!more).then(Instant::now);
            }
            if page.is_empty() || in_flight.len() >= WINDOW {
                tokio::select! {
                    Some(position) = in_flight.next(), if !in_flight.is_empty() => safe = position?,
                    changed = head.changed(), if page.is_empty() => changed.map_err(|_| StoreError::Closed)?,
                    () = sleep(POLL) => {}
                }
            }
            while in_flight.len() < WINDOW
                && let Some(event) = page.pop_front()
            {
                cursor = event.position;
                in_flight.push_back(self.hand_over(event, &progress).await?);
            }
            while let Some(Some(position)) = in_flight.next().now_or_never() {
                safe = position?;
            }
            if saved.elapsed() >= SAVE || safe - progress.saved >= SAVE_EVERY {
                progress.save(&self.store, safe, self.clock.now()).await?;
                saved = Instant::now();
            }
            let now = self.clock.now();
            // The clock may also be set back.
            if now.duration_since(checked).as_secs().abs() >= CHECK_SECONDS {
                progress.save(&self.store, safe, self.clock.now()).await?;
                progress.note_published(&self.store, now).await?;
                if !self
                    .goes_on(incarnation.as_ref(), &progress.request)
                    .await?
                {
                    return Ok(());
                }
                checked = now;
            }
        }
    }

    /// Whether the bus still has its messages, and no new request to republish is there.
    async fn goes_on(
        &self,
        incarnation: Option<&String>,
        request: &Request,
    ) -> Result<bool, RelayError> {
        let same = self.bus.incarnation().await?.as_ref() == incarnation;
        if !same {
            tracing::warn!("the bus has lost its messages, all are published again");
        }
        let asked = request.is_outdated(&self.store).await?;
        if asked {
            tracing::info!("events are published again, as an admin asked for");
        }
        Ok(same && !asked)
    }

    /// Publishes an event, where it is public. The future resolves to its position when the bus holds it safely.
    async fn hand_over(
        &self,
        event: RecordedEvent,
        progress: &Progress,
    ) -> Result<impl Future<Output = Result<i64, BusError>> + use<>, RelayError> {
        let receipt = match self.publish.publish(&self.store, &event).await? {
            Some(public) => {
                let subject = public.subject;
                fault::point("publishing");
                fault::point_of("publishing", subject);
                Some((subject, self.send(&event, public, progress).await?))
            }
            None => None,
        };
        Ok(async move {
            if let Some((subject, receipt)) = receipt {
                receipt.await?;
                fault::point("published");
                fault::point_of("published", subject);
            }
            Ok(event.position)
        })
    }

    async fn send(
        &self,
        event: &RecordedEvent,
        public: PublicEvent,
        progress: &Progress,
    ) -> Result<Receipt, BusError> {
        let span = span(event, &public);
        async {
            let mut message = message(event, public);
            if let Some(id) = progress.request.of(event.position) {
                message.headers.insert(REPUBLISHED.to_owned(), id);
            }
            if let Some(by) = progress.published.by(event.position) {
                message
                    .headers
                    .insert(PUBLISHED_BY.to_owned(), by.to_string());
            }
            self.bus.publish(message).await
        }
        .instrument(span)
        .await
    }
}

/// For the trace of the request that caused the event; there is none for an event without one.
fn span(event: &RecordedEvent, public: &PublicEvent) -> Span {
    let Some(trace_context) = event.metadata.trace_context() else {
        return Span::none();
    };
    let span = tracing::info_span!(
        target: trace::EXPORTED,
        "relay",
        otel.name = format_args!("relay {}", public.subject),
        otel.kind = "producer",
        messaging.destination.name = public.subject,
        messaging.message.id = %event.id,
    );
    trace::follow(&span, Some(&trace_context));
    span
}

/// How far the log has been published, and republished.
struct Progress {
    checkpoint: Checkpoint,
    request: Request,
    /// Saved in both.
    saved: i64,
    published: Published,
}

impl Progress {
    async fn load(store: &EventStore, incarnation: Option<&str>) -> Result<Self> {
        let checkpoint = Checkpoint::load(store, incarnation).await?;
        let request = Request::load(store).await?;
        let saved = request.begin(checkpoint.position());
        Ok(Self {
            published: Published::load(store).await?,
            checkpoint,
            request,
            saved,
        })
    }

    async fn note_published(&mut self, store: &EventStore, now: Timestamp) -> Result<()> {
        let position = self.checkpoint.position();
        self.published.note(store, position, now).await
    }

    async fn save(&mut self, store: &EventStore, safe: i64, now: Timestamp) -> Result<()> {
        if safe > self.saved {
            self.checkpoint.advance(store, safe, now).await?;
            self.request.advance(store, safe).await?;
            self.saved = safe;
        }
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
    if let Some(trace_context) =
        trace::TraceContext::present().or_else(|| event.metadata.trace_context())
    {
        headers.insert(trace::TRACEPARENT.to_owned(), trace_context.traceparent);
        let state = trace_context.tracestate.into_iter();
        headers.extend(state.map(|state| (trace::TRACESTATE.to_owned(), state)));
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
