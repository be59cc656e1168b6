//! The streams of one aggregate, as a worker sees them: loaded, kept to one worker, and their outcomes recorded.

use std::{
    collections::HashSet,
    marker::PhantomData,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::POLL;
use crate::{
    Aggregate, Beside, Context, EventStore, ExecuteError, Lease, Loaded, Metadata, Outcome, Result,
    StoreError, Stream,
    clock::{Clock, ClockReading},
};

/// A stream to be worked on.
#[derive(Debug, Clone)]
pub struct Job<A> {
    /// Id of the aggregate.
    pub id: Uuid,
    /// Folded from every event.
    pub state: A,
    /// Of the stream; 0 where it does not exist.
    pub version: i64,
    /// Where the last event comes from; what the worker records follows it.
    pub cause: Metadata,
    /// The time, for the pauses of this stream.
    pub reading: ClockReading,
}

/// Gives a worker its jobs. Cheap to clone; clones know what each other works on.
#[derive(Clone)]
pub struct Jobs<A> {
    store: EventStore,
    clock: Clock,
    process: Uuid,
    pub(super) longest_pause: Duration,
    pub(super) at_once: usize,
    shutdown: CancellationToken,
    under_way: UnderWay,
    of: PhantomData<fn() -> A>,
}

impl<A: Aggregate> Jobs<A> {
    /// `process` owns the leases; `longest_pause` is the longest that the service records until it tries again.
    pub fn new(
        store: &EventStore,
        clock: &Clock,
        process: Uuid,
        longest_pause: Duration,
        shutdown: &CancellationToken,
    ) -> Self {
        Self {
            store: store.clone(),
            clock: clock.clone(),
            process,
            longest_pause,
            at_once: usize::MAX,
            shutdown: shutdown.clone(),
            under_way: UnderWay::default(),
            of: PhantomData,
        }
    }

    /// Works on no more streams at a time, however many [`Work::PARALLEL`](super::Work::PARALLEL) allows.
    #[must_use]
    pub fn at_most(self, at_once: usize) -> Self {
        Self { at_once, ..self }
    }

    /// The store that holds the streams.
    pub fn store(&self) -> &EventStore {
        &self.store
    }

    /// Time and new ids.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Cancelled when the worker is to end.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Loads a stream.
    pub async fn load(&self, id: Uuid) -> Result<Job<A>> {
        Ok(self.job(id, self.store.load(id).await?))
    }

    /// A stream as this process saw it last; loads it where it did not. For whoever has the lease and has loaded it:
    /// what others appended meanwhile makes the outcome a conflict, and is then seen.
    pub async fn again(&self, id: Uuid) -> Result<Job<A>> {
        match self.remembered(id) {
            Some(job) => Ok(job),
            None => self.load(id).await,
        }
    }

    /// A stream as this process saw it last.
    pub(super) fn remembered(&self, id: Uuid) -> Option<Job<A>> {
        let known = self.store.remembered::<A>(id)?;
        Some(self.job(id, Loaded::clone(&known)))
    }

    fn job(&self, id: Uuid, loaded: Loaded<A>) -> Job<A> {
        let last = loaded.last.as_ref();
        let cause = last.map_or_else(Metadata::default, |last| Metadata {
            causation: Some(last.id),
            ..last.metadata.clone()
        });
        // Of the newest event: what a right clock has recorded since then binds.
        let recorded_at = last.map_or(Timestamp::MIN, |last| last.recorded_at);
        let now = self.clock.now();
        Job {
            id,
            version: loaded.version,
            cause,
            reading: ClockReading::of_stream(now, recorded_at, self.longest_pause),
            state: loaded.state,
        }
    }

    /// Runs work on a stream under its lease. `None` where another replica works on it, or took it over meanwhile.
    ///
    /// The lease keeps other processes away; within this one, [`Jobs::begin`] does.
    pub async fn alone<T, E: From<StoreError>>(
        &self,
        id: Uuid,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<Option<T>, E> {
        let stream = Stream::of::<A>(id);
        let database = self.store.database().clone();
        let lease = Lease::new(database, stream.as_str(), self.process, Lease::TTL);
        let Some(held) = lease.acquire(&self.clock).await? else {
            return Ok(None);
        };
        match held.run(work).await {
            Ok(done) => done.map(Some),
            Err(lost) => {
                tracing::warn!(%stream, %lost, "work was dropped");
                Ok(None)
            }
        }
    }

    /// Notes that this process works on a stream; `None` where it does already.
    pub fn begin(&self, id: Uuid) -> Option<Mark> {
        self.under_way.ids().insert(id).then(|| Mark {
            under_way: self.under_way.clone(),
            id,
        })
    }

    /// How many streams this process works on.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.ids().len()
    }

    /// Records what came of a step. `None` where the aggregate refuses it, because things have changed meanwhile.
    ///
    /// A database that is away is waited for, as long as the lease is held. An outcome that goes with the lease is found
    /// again by whoever takes the lease over, in the spool or by asking; recorded later, a failure would stand above
    /// what was done meanwhile.
    pub async fn record(&self, job: &Job<A>, command: &A::Command) -> Result<Option<Outcome<A>>> {
        self.execute(job, 0, command, None).await
    }

    /// As [`Jobs::record`], and writes something more in the same transaction.
    pub async fn record_beside(
        &self,
        job: &Job<A>,
        command: &A::Command,
        beside: Beside,
    ) -> Result<Option<Outcome<A>>> {
        self.execute(job, 0, command, Some(beside)).await
    }

    /// As [`Jobs::record`], but only where the stream is as it was loaded: for an intent that must not be recorded
    /// twice, even where a lease was lost.
    pub async fn claim(&self, job: &Job<A>, command: &A::Command) -> Result<Option<Outcome<A>>> {
        self.execute(job, job.version.unsigned_abs(), command, None)
            .await
    }

    async fn execute(
        &self,
        job: &Job<A>,
        version: u64,
        command: &A::Command,
        beside: Option<Beside>,
    ) -> Result<Option<Outcome<A>>> {
        // One context for every try: an append whose answer was lost is recognised.
        let context = self.context(&job.cause);
        let stream = Stream::of::<A>(job.id);
        loop {
            let beside = beside.clone();
            let done = self
                .store
                .execute_beside::<A>(job.id, version, command, &context, beside);
            match done.await {
                Ok(outcome) => return Ok(Some(outcome)),
                Err(ExecuteError::Rejected(rejection)) => {
                    tracing::debug!(%stream, %rejection, "changed meanwhile, decided anew");
                    return Ok(None);
                }
                Err(ExecuteError::VersionMismatch { .. }) => return Ok(None),
                Err(ExecuteError::KeyReused) => return Err(StoreError::EventIdReused(stream)),
                Err(ExecuteError::Store(error @ StoreError::Unavailable(_)))
                    if !self.shutdown.is_cancelled() =>
                {
                    tracing::warn!(%stream, %error, "outcome not recorded, trying again");
                    sleep(POLL).await;
                }
                Err(ExecuteError::Store(error)) => return Err(error),
            }
        }
    }

    /// The context of what a worker does by itself; it follows what caused it.
    pub fn context(&self, cause: &Metadata) -> Context {
        Context {
            metadata: Metadata {
                actor: format!("service:{}", self.store.database().service()),
                command_digest: None,
                ..cause.clone()
            },
            now: self.clock.now(),
            command_id: self.clock.new_id(),
        }
    }
}

/// Streams that this process works on. Clones are the same.
#[derive(Clone, Default)]
struct UnderWay(Arc<Mutex<HashSet<Uuid>>>);

impl UnderWay {
    fn ids(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that this process works on: until this is dropped, however the work ends.
#[must_use]
pub struct Mark {
    under_way: UnderWay,
    id: Uuid,
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.under_way.ids().remove(&self.id);
    }
}
