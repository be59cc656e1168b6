//! A bus that does as the test says.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures::FutureExt as _;
use jiff::Timestamp;
use portico_bus::{
    Bus, BusError, ConsumerSpec, Deliveries, Delivery, Message, NotReady, Receipt, Settle, Waiting,
};
use portico_eventstore::{
    EventStore, RecordedEvent, StoreError,
    clock::{Clock, ManualTime},
    relay::{PublicEvent, Publish},
};
use tokio::sync::{Notify, oneshot};

use crate::counter::{Counter, Event};

pub(crate) const ADDED: &str = "portico.test.added";

/// Publishes what was added; that a counter was closed stays private.
pub(crate) struct Additions;

#[async_trait]
impl Publish for Additions {
    async fn publish(
        &self,
        _store: &EventStore,
        event: &RecordedEvent,
    ) -> Result<Option<PublicEvent>, StoreError> {
        Ok(match event.decode::<Counter>()? {
            Some(Event::Added { by }) => Some(PublicEvent {
                subject: ADDED,
                payload: by.to_be_bytes().to_vec(),
            }),
            Some(Event::Closed) | None => None,
        })
    }
}

/// A clock that the test moves.
#[derive(Clone)]
pub(crate) struct TestClock(Clock, ManualTime);

impl Default for TestClock {
    fn default() -> Self {
        let (clock, time) = Clock::manual(Timestamp::from_second(1_800_000_000).unwrap());
        Self(clock, time)
    }
}

impl TestClock {
    pub(crate) fn forward(&self, seconds: u64) {
        self.1.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.now()
    }

    pub(crate) fn clock(&self) -> Clock {
        self.0.clone()
    }
}

#[derive(Default)]
struct State {
    incarnation: Option<String>,
    backlog: u64,
    /// Receipts that the test resolves; `None`: they resolve at once.
    held: Option<BTreeMap<i64, oneshot::Sender<()>>>,
    published: Vec<Message>,
    deliveries: VecDeque<Delivery>,
}

#[derive(Clone, Default)]
pub(crate) struct StubBus {
    state: Arc<Mutex<State>>,
    arrived: Arc<Notify>,
}

impl StubBus {
    /// A bus whose receipts wait for [`StubBus::resolve`].
    pub(crate) fn holding() -> Self {
        let bus = Self::default();
        bus.state.lock().unwrap().held = Some(BTreeMap::new());
        bus
    }

    pub(crate) fn set_incarnation(&self, incarnation: &str) {
        self.state.lock().unwrap().incarnation = Some(incarnation.to_owned());
    }

    /// What consumers have not acknowledged, as it is told.
    pub(crate) fn set_backlog(&self, messages: u64) {
        self.state.lock().unwrap().backlog = messages;
    }

    /// Positions of what was published, in the order of publishing.
    pub(crate) fn positions(&self) -> Vec<i64> {
        self.published().iter().map(position).collect()
    }

    pub(crate) fn published(&self) -> Vec<Message> {
        self.state.lock().unwrap().published.clone()
    }

    pub(crate) fn resolve(&self, position: i64) {
        let mut state = self.state.lock().unwrap();
        let receipt = state.held.as_mut().unwrap().remove(&position).unwrap();
        // The relay may have gone.
        let _ = receipt.send(());
    }

    /// Hands a message over; the receiver learns how it was settled: `true` for an acknowledgement.
    pub(crate) fn deliver(&self, message: Message, attempt: u32) -> oneshot::Receiver<bool> {
        let (settled, answer) = oneshot::channel();
        let delivery = Delivery {
            message,
            attempt,
            settle: Box::new(StubSettle(Mutex::new(Some(settled)))),
        };
        self.state.lock().unwrap().deliveries.push_back(delivery);
        self.arrived.notify_one();
        answer
    }
}

fn position(message: &Message) -> i64 {
    message.headers["position"].parse().unwrap()
}

struct StubSettle(Mutex<Option<oneshot::Sender<bool>>>);

impl StubSettle {
    fn tell(&self, acknowledged: bool) {
        let settled = self.0.lock().unwrap().take().expect("settled once");
        let _ = settled.send(acknowledged);
    }
}

#[async_trait]
impl Settle for StubSettle {
    async fn ack(&self) -> Result<(), BusError> {
        self.tell(true);
        Ok(())
    }

    async fn retry(&self, _after: Duration) -> Result<(), BusError> {
        self.tell(false);
        Ok(())
    }
}

#[async_trait]
impl Bus for StubBus {
    async fn declare(&self, _consumers: &[ConsumerSpec]) -> Result<(), BusError> {
        Ok(())
    }

    async fn publish(&self, message: Message) -> Result<Receipt, BusError> {
        let mut state = self.state.lock().unwrap();
        let position = position(&message);
        state.published.push(message);
        let Some(held) = &mut state.held else {
            return Ok(async { Ok(()) }.boxed());
        };
        let (resolve, resolved) = oneshot::channel();
        held.insert(position, resolve);
        let lost = |_| BusError::Unavailable("the test has forgotten it".into());
        Ok(async move { resolved.await.map_err(lost) }.boxed())
    }

    async fn consume(&self, _consumer: &ConsumerSpec) -> Result<Box<dyn Deliveries>, BusError> {
        Ok(Box::new(self.clone()))
    }

    async fn waiting(&self, consumer: &ConsumerSpec) -> Result<Vec<Waiting>, BusError> {
        let waiting = |subject: &&'static str| Waiting {
            subject,
            messages: Some(self.state.lock().unwrap().backlog),
            oldest: Duration::ZERO,
        };
        Ok(consumer.subjects.iter().map(waiting).collect())
    }

    async fn check(&self) -> Result<(), NotReady> {
        Ok(())
    }

    async fn incarnation(&self) -> Result<Option<String>, BusError> {
        Ok(self.state.lock().unwrap().incarnation.clone())
    }
}

#[async_trait]
impl Deliveries for StubBus {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            let arrived = self.arrived.notified();
            if let Some(delivery) = self.state.lock().unwrap().deliveries.pop_front() {
                return Some(delivery);
            }
            arrived.await;
        }
    }
}
