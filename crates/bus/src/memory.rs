//! The bus inside one process, fed from the stored events.
//!
//! It keeps nothing on disk and need not: a receipt resolves only when every declared consumer has acknowledged, so
//! after a crash the relay publishes again whatever was unacknowledged. The relay's window of open
//! receipts also bounds the memory used.
//!
//! Nothing runs in the background: deliveries wait for a change or for the next due time.

mod faults;
mod queue;

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::FutureExt;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until},
};

pub use faults::Faults;
use queue::{Outstanding, Queue, Taken};

use crate::{
    Bus, BusError, ConsumerSpec, Deliveries, Delivery, Message, NotReady, Receipt, Settle, Waiting,
};

/// As with NATS JetStream by default.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// Short, so that a lost delivery costs a test little.
const ACK_WAIT_WITH_FAULTS: Duration = Duration::from_millis(250);

/// Bus in the memory of one process. Dropping it closes it.
pub struct MemoryBus {
    shared: Arc<Shared>,
}

struct Shared {
    faults: Faults,
    state: Mutex<State>,
}

struct State {
    ack_wait: Duration,
    closed: bool,
    queues: HashMap<&'static str, Queue>,
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryBus {
    /// A bus that delivers at once, in order, and repeats what was not acknowledged within 30 s.
    #[must_use]
    pub fn new() -> Self {
        Self::build(Faults::default(), ACK_WAIT)
    }

    /// A bus that behaves as badly as a real one may. The ack wait is 250 ms.
    #[must_use]
    pub fn with_faults(faults: Faults) -> Self {
        Self::build(faults, ACK_WAIT_WITH_FAULTS)
    }

    /// Sets how long a delivery may stay unacknowledged before it is repeated.
    #[must_use]
    pub fn with_ack_wait(self, ack_wait: Duration) -> Self {
        self.shared.lock().ack_wait = ack_wait;
        self
    }

    /// Ends all deliveries; open receipts resolve as [`BusError::Unavailable`].
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        for (_, queue) in state.queues.drain() {
            queue.changed.notify_waiters();
        }
    }

    fn build(faults: Faults, ack_wait: Duration) -> Self {
        let state = State {
            ack_wait,
            closed: false,
            queues: HashMap::new(),
        };
        let shared = Shared {
            faults,
            state: Mutex::new(state),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl Drop for MemoryBus {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, BusError> {
        let state = self.lock();
        if state.closed {
            Err(closed())
        } else {
            Ok(state)
        }
    }
}

fn closed() -> BusError {
    BusError::Unavailable("the bus is closed".into())
}

#[async_trait]
impl Bus for MemoryBus {
    async fn declare(&self, consumers: &[ConsumerSpec]) -> Result<(), BusError> {
        let mut state = self.shared.open()?;
        for spec in consumers {
            state
                .queues
                .entry(spec.name)
                .and_modify(|queue| queue.redeclare(spec))
                .or_insert_with(|| Queue::new(spec));
        }
        Ok(())
    }

    async fn publish(&self, message: Message) -> Result<Receipt, BusError> {
        let mut state = self.shared.open()?;
        let mut queues: Vec<_> = state
            .queues
            .values_mut()
            .filter(|queue| queue.wants(&message.subject))
            .collect();
        if queues.is_empty() {
            return Ok(async { Ok(()) }.boxed());
        }
        let (done, acknowledged) = oneshot::channel();
        let outstanding = Arc::new(Outstanding::new(queues.len(), done));
        let message = Arc::new(message);
        let now = Instant::now();
        for queue in &mut queues {
            queue.push(&message, &outstanding, now, &self.shared.faults);
        }
        Ok(async move { acknowledged.await.map_err(|_| closed()) }.boxed())
    }

    async fn consume(&self, consumer: &ConsumerSpec) -> Result<Box<dyn Deliveries>, BusError> {
        let state = self.shared.open()?;
        let queue = state
            .queues
            .get(consumer.name)
            .ok_or_else(|| BusError::Undeclared(consumer.name.into()))?;
        Ok(Box::new(MemoryDeliveries {
            consumer: consumer.name,
            changed: Arc::clone(&queue.changed),
            shared: Arc::clone(&self.shared),
        }))
    }

    async fn check(&self) -> Result<(), NotReady> {
        self.shared.open().map(drop).map_err(|error| NotReady {
            code: "bus_unavailable",
            cause: error.to_string(),
        })
    }

    async fn waiting(&self, consumer: &ConsumerSpec) -> Result<Vec<Waiting>, BusError> {
        let state = self.shared.open()?;
        let queue = state
            .queues
            .get(consumer.name)
            .ok_or_else(|| BusError::Undeclared(consumer.name.into()))?;
        Ok(queue.waiting(consumer.subjects, Instant::now()))
    }
}

struct MemoryDeliveries {
    consumer: &'static str,
    changed: Arc<Notify>,
    shared: Arc<Shared>,
}

/// Wakes another waiter of the same consumer when one leaves, cancelled or with a delivery: only the woken one
/// knows the newest due time, and there may be more to take.
struct Baton<'a>(&'a Notify);

impl Drop for Baton<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

enum Next {
    Closed,
    Taken(Taken),
    Wait(Option<Instant>),
}

impl MemoryDeliveries {
    fn take(&self) -> Next {
        let mut state = self.shared.lock();
        let ack_wait = state.ack_wait;
        let Some(queue) = state.queues.get_mut(self.consumer) else {
            return Next::Closed;
        };
        match queue.take(Instant::now(), ack_wait, &self.shared.faults) {
            Some(taken) => Next::Taken(taken),
            None => Next::Wait(queue.next_due()),
        }
    }
}

#[async_trait]
impl Deliveries for MemoryDeliveries {
    async fn next(&mut self) -> Option<Delivery> {
        let _baton = Baton(&self.changed);
        loop {
            let mut changed = pin!(self.changed.notified());
            // Registered before looking, so that a change between looking and waiting is not missed.
            changed.as_mut().enable();
            let due = match self.take() {
                Next::Closed => return None,
                Next::Taken(taken) => {
                    let settle = MemorySettle {
                        consumer: self.consumer,
                        id: taken.id,
                        shared: Arc::clone(&self.shared),
                    };
                    return Some(Delivery {
                        message: Message::clone(&taken.message),
                        attempt: taken.attempt,
                        settle: Box::new(settle),
                    });
                }
                Next::Wait(due) => due,
            };
            match due {
                Some(due) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(due) => {}
                },
                None => changed.await,
            }
        }
    }
}

struct MemorySettle {
    consumer: &'static str,
    id: u64,
    shared: Arc<Shared>,
}

impl MemorySettle {
    fn with_queue(&self, settle: impl FnOnce(&mut Queue)) -> Result<(), BusError> {
        let mut state = self.shared.open()?;
        if let Some(queue) = state.queues.get_mut(self.consumer) {
            settle(queue);
        }
        Ok(())
    }
}

#[async_trait]
impl Settle for MemorySettle {
    async fn ack(&self) -> Result<(), BusError> {
        self.with_queue(|queue| queue.ack(self.id))
    }

    async fn retry(&self, after: Duration) -> Result<(), BusError> {
        self.with_queue(|queue| queue.retry(self.id, Instant::now() + after))
    }
}

#[cfg(test)]
mod tests;
