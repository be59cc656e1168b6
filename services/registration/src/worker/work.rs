//! Work on many streams at once, each by one worker at a time.
//!
//! A worker wakes when something is appended here, when a pause is over, and every second, to find what other replicas
//! appended. A lease for each stream keeps replicas apart; the intents and expected versions keep the data right even
//! where a lease is lost.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use portico_eventstore::{
    Aggregate, Context, EventStore, Lease, Metadata, StoreError, Stream, sqlx,
};
use portico_runtime::Deps;
use portico_vault::VaultError;
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::clock::ClockReading;
use crate::views::oauth_clients::Due;

/// How often to look for what other replicas appended.
const POLL: Duration = Duration::from_secs(1);
/// The pause of a stream whose work our own database stopped, or that another replica works on.
const PAUSE: Duration = Duration::from_millis(500);
/// Lease renewal interval while a stream is worked on; the TTL is several times longer.
const RENEWAL: Duration = Duration::from_secs(3);

/// Why work stopped; nothing of it is the provider's fault, and it is taken up again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("query: {0}")]
    Query(#[from] sqlx::Error),
    #[error("{0}")]
    Other(String),
}

/// A kind of work, on the streams of one kind of aggregate.
pub(crate) trait Work: Clone + Send + Sync + 'static {
    type Of: Aggregate;
    /// Streams that are worked on at once.
    const PARALLEL: usize;

    fn deps(&self) -> &Deps;
    fn store(&self) -> &EventStore;
    fn under_way(&self) -> &UnderWay;

    /// What is due, at most so much.
    fn due(&self, limit: i64) -> impl Future<Output = Result<Due, WorkError>> + Send;

    /// Works on a stream until it waits for something.
    fn steps(&self, id: Uuid) -> impl Future<Output = Result<(), WorkError>> + Send;

    /// Runs until shutdown; then finishes the steps it has begun.
    fn run(self) -> impl Future<Output = ()> + Send {
        run(self)
    }

    /// No other replica works on the stream meanwhile. `None` where one does.
    fn alone<T: Send>(
        &self,
        id: Uuid,
        work: impl Future<Output = Result<T, WorkError>> + Send,
    ) -> impl Future<Output = Result<Option<T>, WorkError>> + Send {
        let stream = Stream::of::<Self::Of>(id);
        let lease = self
            .deps()
            .lease(self.store().database(), stream.as_str().to_owned());
        async move {
            if !lease.take(self.deps().clock.now()).await? {
                return Ok(None);
            }
            let done = tokio::select! {
                done = work => done,
                // Never ends: what is under way outside is not given up.
                never = renew(&lease, stream.as_str(), self.deps()) => match never {},
            };
            if let Err(error) = lease.release().await {
                tracing::warn!(%stream, %error, "a lease was not released");
            }
            done.map(Some)
        }
    }

    /// Of what a worker does by itself; it follows what caused it.
    fn context(&self, cause: &Metadata) -> Context {
        Context {
            metadata: Metadata {
                actor: "service:registration".to_owned(),
                command_digest: None,
                ..cause.clone()
            },
            now: self.deps().clock.now(),
            command_id: self.deps().clock.new_id(),
        }
    }
}

/// Streams that this process works on. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct UnderWay(Arc<Mutex<HashSet<Uuid>>>);

/// A stream that this process works on: until this is dropped, however the work ends.
pub(crate) struct Mark {
    under_way: UnderWay,
    id: Uuid,
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.under_way.ids().remove(&self.id);
    }
}

impl UnderWay {
    /// `None` where it is worked on already.
    pub(crate) fn begin(&self, id: Uuid) -> Option<Mark> {
        self.ids().insert(id).then(|| Mark {
            under_way: self.clone(),
            id,
        })
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run<W: Work>(worker: W) {
    let permits = Arc::new(Semaphore::new(W::PARALLEL));
    let done = Arc::new(Notify::new());
    let tasks = TaskTracker::new();
    let shutdown = &worker.deps().shutdown;
    let mut head = worker.store().head();
    while !shutdown.is_cancelled() {
        // Marks the head as seen before looking, so that no append between is slept over.
        head.borrow_and_update();
        let mut sleep = POLL;
        let limit = worker.under_way().ids().len() + W::PARALLEL;
        match worker.due(i64::try_from(limit).unwrap_or(i64::MAX)).await {
            Ok(due) => {
                for id in due.now {
                    let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                        break;
                    };
                    let Some(mark) = worker.under_way().begin(id) else {
                        continue;
                    };
                    let (worker, done) = (worker.clone(), Arc::clone(&done));
                    tasks.spawn(async move {
                        work_on(&worker, id).await;
                        drop((mark, permit));
                        done.notify_one();
                    });
                }
                sleep = due.next.map_or(POLL, |next| {
                    let left = worker.deps().clock.now().duration_until(next);
                    Duration::try_from(left).unwrap_or_default().min(POLL)
                });
            }
            Err(error) => {
                tracing::warn!(category = W::Of::CATEGORY, %error, "cannot look for work, trying again");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            changed = head.changed() => if changed.is_err() { break },
            () = done.notified() => {}
            // Never 0: what is due and worked on already must not be asked for all the time.
            () = tokio::time::sleep(sleep.max(Duration::from_millis(5))) => {}
        }
    }
    tasks.close();
    tasks.wait().await;
}

async fn work_on<W: Work>(worker: &W, id: Uuid) {
    let pause = match worker.alone(id, worker.steps(id)).await {
        Ok(done) => done.is_none(),
        Err(error) => {
            let stream = Stream::of::<W::Of>(id);
            tracing::error!(%stream, %error, "work stopped, trying again");
            true
        }
    };
    if pause {
        tokio::select! {
            () = worker.deps().shutdown.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Keeps a lease alive, and never ends.
pub(super) async fn renew(lease: &Lease, name: &str, deps: &Deps) -> Infallible {
    loop {
        tokio::time::sleep(RENEWAL).await;
        match lease.take(deps.clock.now()).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!(name, "a lease was lost"),
            Err(error) => tracing::warn!(name, %error, "a lease was not renewed"),
        }
    }
}

/// A stream as it is, and what caused its last event.
pub(crate) struct Present<A> {
    pub(crate) state: A,
    pub(crate) cause: Metadata,
    /// The latest time at which one of its events was recorded.
    recorded_at: Timestamp,
}

impl<A: Aggregate> Present<A> {
    pub(crate) async fn load(store: &EventStore, id: Uuid) -> Result<Self, WorkError> {
        let recorded = store.read_stream(&Stream::of::<A>(id)).await?;
        let mut state = A::default();
        for event in &recorded {
            if let Some(event) = event.decode::<A>()? {
                state.evolve(&event);
            }
        }
        let cause = recorded
            .last()
            .map_or_else(Metadata::default, |last| Metadata {
                causation: Some(last.id),
                ..last.metadata.clone()
            });
        let times = recorded.iter().map(|event| event.recorded_at);
        Ok(Self {
            state,
            cause,
            recorded_at: times.max().unwrap_or(Timestamp::MIN),
        })
    }

    /// The clock as this stream reads it.
    pub(crate) fn clock_reading(&self, deps: &Deps) -> ClockReading {
        let longest = deps.config.retry.max_delay;
        ClockReading::new(deps.clock.now(), self.recorded_at, longest)
    }
}
