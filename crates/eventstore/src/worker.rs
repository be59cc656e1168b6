//! Work on the streams of one aggregate: many at once, each by one worker of all replicas at a time.
//!
//! A service implements [`Work`]: which streams are due, what the next step of one is, and how to do it. [`run`] does
//! the rest:
//!
//! 1. What is appended here begins the stream's job by itself. What else is due it asks when a pause is over, when
//!    something is appended that streams follow, and every two seconds, to find what other replicas appended.
//! 2. It takes the lease of each stream that is due, loads the stream, and does step after step until none is left.
//!    Each step runs in the trace of the request that caused it.
//! 3. A stream that another replica works on, that has no step although it was due, or whose work an error stopped, is
//!    left alone for half a second. How long a failed call is not repeated is the service's business: it records when
//!    it tries again.
//!
//! A lease that is lost drops the job where it stands (see [`Held::run`]). So a step records its intent before it
//! calls anybody, and the next worker finds out what became of it.

mod jobs;
mod lease;
mod queue;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
pub use jobs::{Job, Jobs, Mark};
pub use lease::{Held, Lease, LeaseLost};
pub use queue::Queue;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{Aggregate, StoreError, Stream, trace};

/// Poll interval for what other replicas appended.
const POLL: Duration = Duration::from_secs(2);
/// How long to leave alone a stream that another replica works on, that has no step, or whose work an error stopped.
const PAUSE: Duration = Duration::from_millis(500);
/// Steps of one stream until others get their turn.
const STEPS: usize = 100;

/// Streams with something to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// Those that are due, the most urgent first.
    pub now: Vec<Uuid>,
    /// When the next one is due.
    pub next: Option<Timestamp>,
}

/// What a worker does for the streams of one aggregate.
pub trait Work: Send + Sync + 'static {
    /// Aggregate whose streams are worked on.
    type Of: Aggregate;
    /// What is to be done next for a stream.
    type Step: Send;
    /// What stops work although neither the stream nor the outside is at fault, such as an unreachable database. The
    /// work is tried again.
    type Error: std::error::Error + From<StoreError> + Send + Sync;
    /// Streams that are worked on at once, at most.
    const PARALLEL: usize;
    /// Categories of other streams that make streams due when something is appended to them.
    const FOLLOWS: &'static [&'static str] = &[];

    /// Where jobs are loaded from and outcomes recorded.
    fn jobs(&self) -> &Jobs<Self::Of>;

    /// Streams that are due, at most `limit` of them. Those that are worked on may be among them.
    fn due(
        &self,
        now: Timestamp,
        limit: i64,
    ) -> impl Future<Output = Result<Due, Self::Error>> + Send;

    /// When a stream is due, as its view has it; `None` where it waits for something else than its time.
    fn due_at(&self, state: &Self::Of) -> Option<Timestamp>;

    /// The next step of a stream, and its name for traces; `None` where it waits for something.
    fn next_step(&self, job: &Job<Self::Of>) -> Option<(&'static str, Self::Step)>;

    /// Does a step and records its outcome, after which [`Work::next_step`] gives another one or none.
    fn step(
        &self,
        job: &Job<Self::Of>,
        step: Self::Step,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Works until shutdown; then finishes the steps it has begun.
pub async fn run<W: Work>(work: W) {
    let at_once = W::PARALLEL.min(work.jobs().at_once);
    let pool = Pool {
        work: Arc::new(work),
        permits: Arc::new(Semaphore::new(at_once)),
        ended: Arc::default(),
        waiting: Arc::default(),
        tasks: TaskTracker::new(),
    };
    let jobs = pool.work.jobs();
    let mut head = jobs.store().head();
    // Marks the head as seen before looking, so that no append in between is slept over.
    let mut seen = *head.borrow_and_update();
    let mut next = None;
    let mut polls = interval(POLL);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = true;
    while !jobs.shutdown().is_cancelled() {
        if looks {
            next = pool.begin_due().await.unwrap_or_else(|error| {
                tracing::warn!(category = W::Of::CATEGORY, %error, "cannot look for work, trying again");
                None
            });
        }
        looks = tokio::select! {
            () = jobs.shutdown().cancelled() => false,
            changed = head.changed() => {
                if changed.is_err() { break }
                let after = std::mem::replace(&mut seen, *head.borrow_and_update());
                pool.begin_appended(after)
            }
            () = pool.ended.notified() => true,
            () = jobs.clock().sleep_until(next.unwrap_or(Timestamp::MAX)), if next.is_some() => true,
            _ = polls.tick() => true,
        };
    }
    pool.tasks.close();
    pool.tasks.wait().await;
}

/// The jobs of this process.
struct Pool<W> {
    work: Arc<W>,
    permits: Arc<Semaphore>,
    /// A job has ended after which there is more to do.
    ended: Arc<Notify>,
    /// A stream found no permit.
    waiting: Arc<AtomicBool>,
    tasks: TaskTracker,
}

impl<W: Work> Pool<W> {
    /// Begins what is due and not worked on yet; when the next stream is due.
    async fn begin_due(&self) -> Result<Option<Timestamp>, W::Error> {
        let jobs = self.work.jobs();
        let limit = jobs.under_way() + W::PARALLEL;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let due = self.work.due(jobs.clock().now(), limit).await?;
        for id in due.now {
            self.begin(id);
        }
        Ok(due.next)
    }

    /// Begins streams to which this process has appended. Whether the database must be asked what is due.
    fn begin_appended(&self, after: i64) -> bool {
        let appended = self.work.jobs().store().appended_after(after);
        let Some(appended) = appended else {
            return true;
        };
        let mut looks = false;
        for (category, id) in appended {
            if W::FOLLOWS.contains(&&*category) {
                looks = true;
            } else if category == W::Of::CATEGORY {
                match prospect(&*self.work, id) {
                    Prospect::Now => self.begin(id),
                    Prospect::Later => looks = true,
                    Prospect::Nothing => {}
                }
            }
        }
        looks
    }

    /// Begins a stream, unless it is worked on, or waits for a permit.
    fn begin(&self, id: Uuid) {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            self.waiting.store(true, Ordering::SeqCst);
            return;
        };
        let Some(mark) = self.work.jobs().begin(id) else {
            return;
        };
        let (work, ended) = (Arc::clone(&self.work), Arc::clone(&self.ended));
        let waiting = Arc::clone(&self.waiting);
        self.tasks.spawn(async move {
            work_on(&*work, id, permit, &ended).await;
            drop(mark);
            // What was appended while the stream was marked began no job.
            let more = prospect(&*work, id) != Prospect::Nothing;
            if waiting.swap(false, Ordering::SeqCst) || more {
                ended.notify_one();
            }
        });
    }
}

/// What is to be done for a stream, as far as this process knows.
#[derive(PartialEq)]
enum Prospect {
    /// It is due, or may be.
    Now,
    Later,
    Nothing,
}

fn prospect<W: Work>(work: &W, id: Uuid) -> Prospect {
    match work.jobs().remembered(id) {
        None => Prospect::Now,
        Some(job) if work.next_step(&job).is_some() => Prospect::Now,
        Some(job) if work.due_at(&job.state).is_some() => Prospect::Later,
        Some(_) => Prospect::Nothing,
    }
}

async fn work_on<W: Work>(work: &W, id: Uuid, permit: OwnedSemaphorePermit, ended: &Notify) {
    let jobs = work.jobs();
    // From before the stream is loaded, so that what is appended meanwhile ends the pause.
    let mut head = jobs.store().head();
    head.borrow_and_update();
    let held = match jobs.alone(id, drive(work, id)).await {
        Ok(Some(true)) => return,
        // Due by a view that the stream does not bear out. It may be so for long, and must not be loaded on and on; but
        // an append may change it.
        Ok(Some(false)) => {
            drop(permit);
            ended.notify_one();
            tokio::select! {
                () = jobs.shutdown().cancelled() => {}
                _ = head.changed() => {}
                () = sleep(PAUSE) => {}
            }
            return;
        }
        // Another replica has it: this one's place is for streams that nobody works on.
        Ok(None) => {
            drop(permit);
            ended.notify_one();
            None
        }
        Err(error) => {
            let stream = Stream::of::<W::Of>(id);
            tracing::error!(%stream, %error, "work stopped, trying again");
            Some(permit)
        }
    };
    jobs.shutdown().run_until_cancelled(sleep(PAUSE)).await;
    drop(held);
}

/// Does step after step until the stream waits for something. Whether there was any.
async fn drive<W: Work>(work: &W, id: Uuid) -> Result<bool, W::Error> {
    let jobs = work.jobs();
    let mut done_any = false;
    for _ in 0..STEPS {
        if jobs.shutdown().is_cancelled() {
            break;
        }
        // What others append during the work is found as a conflict, or when the job has ended.
        let job = match done_any {
            false => jobs.load(id).await?,
            true => jobs.again(id).await?,
        };
        let Some((name, step)) = work.next_step(&job) else {
            break;
        };
        // On the heap: the future of a step may hold a whole conversation with a provider, and the stack of a thread
        // is two megabytes.
        let done = Box::pin(work.step(&job, step));
        in_trace(jobs, &job, name, done).await?;
        done_any = true;
    }
    Ok(done_any)
}

/// Runs a step in the trace of what caused it, with the id of that request in every log line.
async fn in_trace<A: Aggregate, T>(
    jobs: &Jobs<A>,
    job: &Job<A>,
    step: &'static str,
    work: impl Future<Output = T>,
) -> T {
    let stream = Stream::of::<A>(job.id);
    let span = tracing::info_span!(
        target: trace::EXPORTED,
        "step",
        otel.name = step,
        portico.stream = %stream,
    );
    trace::follow(&span, job.cause.trace_context().as_ref());
    // What a worker begins by itself was caused by no request.
    let request_id = job
        .cause
        .correlation
        .unwrap_or_else(|| jobs.clock().new_id());
    let lines =
        tracing::info_span!("step", step, %stream, %request_id, trace_id = trace::id(&span));
    let work = async {
        tracing::debug!("next step");
        work.await
    };
    trace::correlated(request_id, work.instrument(lines).instrument(span)).await
}
