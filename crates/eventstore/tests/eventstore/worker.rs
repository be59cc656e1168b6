//! Work on streams: all of it, by one worker at a time, again after an error and when its time has come.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use portico_eventstore::{
    EventStore, StoreError,
    clock::{Clock, ManualTime},
    testing::context,
    trace,
    worker::{Due, Job, Jobs, Work, run},
};
use portico_trials::Trial;
use tokio::{sync::Notify, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    counter::*,
    place::{Place, eventually, on_every_database, within},
};

/// Counters are worked on until they have this total; then they are closed.
const FULL: i64 = 3;

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        every_stream_is_worked_on_until_it_rests,
        replicas_share_the_streams,
        what_an_error_stopped_is_tried_again,
        nothing_is_done_before_its_time,
        a_stop_finishes_the_step_that_was_begun,
        an_intent_is_recorded_once,
        a_stream_that_is_due_without_a_step_is_left_alone,
    )
}

fn noon() -> Timestamp {
    "2026-01-02T12:00:00Z".parse().unwrap()
}

/// What the workers of all replicas have done.
#[derive(Default)]
struct Diary {
    /// Streams that a worker is in.
    inside: Mutex<HashMap<Uuid, Option<Uuid>>>,
    steps: Mutex<Vec<(Uuid, i64)>>,
    /// A step of this total fails once.
    fails_at: Mutex<Option<i64>>,
    entered: Notify,
    /// Steps wait for this where it is given.
    gate: Option<Notify>,
    /// Streams that are closed are due too, as by a view that is mistaken.
    names_all: bool,
    /// How often a next step was looked for.
    looks: AtomicUsize,
}

struct Filler {
    jobs: Jobs<Counter>,
    diary: Arc<Diary>,
    /// Nothing is due before.
    from: Timestamp,
}

impl Work for Filler {
    type Of = Counter;
    type Step = Command;
    type Error = StoreError;
    const PARALLEL: usize = 4;

    fn jobs(&self) -> &Jobs<Counter> {
        &self.jobs
    }

    async fn due(&self, now: Timestamp, limit: i64) -> Result<Due, StoreError> {
        if now < self.from {
            return Ok(Due {
                now: Vec::new(),
                next: Some(self.from),
            });
        }
        let totals = totals(self.jobs.store()).await.into_iter();
        let open = totals.filter(|(_, _, closed)| *closed == 0 || self.diary.names_all);
        Ok(Due {
            now: open
                .map(|(id, ..)| id)
                .take(usize::try_from(limit).unwrap())
                .collect(),
            next: None,
        })
    }

    fn due_at(&self, counter: &Counter) -> Option<Timestamp> {
        (!counter.closed).then_some(self.from)
    }

    fn next_step(&self, job: &Job<Counter>) -> Option<(&'static str, Command)> {
        self.diary.looks.fetch_add(1, Ordering::Relaxed);
        if job.state.closed || job.reading.is_before(self.from) {
            None
        } else if job.state.total < FULL {
            Some(("fill", Command::Add(1)))
        } else {
            Some(("close", Command::Close))
        }
    }

    async fn step(&self, job: &Job<Counter>, step: Command) -> Result<(), StoreError> {
        let before = self
            .diary
            .inside
            .lock()
            .unwrap()
            .insert(job.id, trace::correlation());
        assert_eq!(before, None, "two workers in one stream");
        self.diary.entered.notify_one();
        if let Some(gate) = &self.diary.gate {
            gate.notified().await;
        }
        let fails = self
            .diary
            .fails_at
            .lock()
            .unwrap()
            .take_if(|at| *at == job.state.total);
        let done = match fails {
            Some(_) => Err(StoreError::Database("the test says so".into())),
            None => self.jobs.record(job, &step).await.map(drop),
        };
        self.diary.inside.lock().unwrap().remove(&job.id);
        self.diary
            .steps
            .lock()
            .unwrap()
            .push((job.id, job.state.total));
        done
    }
}

struct Running {
    task: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl Running {
    fn start(store: &EventStore, clock: &Clock, diary: &Arc<Diary>, from: Timestamp) -> Self {
        let shutdown = CancellationToken::new();
        let longest = Duration::from_secs(60);
        let filler = Filler {
            jobs: Jobs::new(store, clock, new_id(), longest, &shutdown),
            diary: Arc::clone(diary),
            from,
        };
        let task = tokio::spawn(run(filler));
        Self { task, shutdown }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        within(self.task).await.unwrap();
    }
}

async fn begin(store: &EventStore, count: usize) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let id = new_id();
        store.append(append(id, 0, &[1])).await.unwrap();
        ids.push(id);
    }
    ids
}

async fn all_full(store: &EventStore, count: usize) {
    eventually("all are closed", async || {
        let totals = totals(store).await;
        totals.len() == count && totals.iter().all(|(_, _, closed)| *closed == 1)
    })
    .await;
    assert!(
        totals(store)
            .await
            .iter()
            .all(|(_, total, _)| *total == FULL)
    );
}

fn clock() -> (Clock, ManualTime) {
    Clock::manual(noon())
}

async fn every_stream_is_worked_on_until_it_rests(place: Place) {
    let (store, (clock, _time), diary) = (place.open().await, clock(), Arc::default());
    let before = begin(&store, 6).await;
    let running = Running::start(&store, &clock, &diary, noon());
    let after = begin(&store, 6).await;
    all_full(&store, 12).await;
    running.stop().await;
    let mut steps = diary.steps.lock().unwrap().clone();
    steps.sort_unstable();
    let mut expected: Vec<_> = before
        .into_iter()
        .chain(after)
        .flat_map(|id| [(id, 1), (id, 2), (id, 3)])
        .collect();
    expected.sort_unstable();
    assert_eq!(steps, expected);
    // What a worker records follows what it saw.
    let log = store.read(0, 100).await.unwrap();
    let worked = log.iter().find(|event| event.version == 2).unwrap();
    let first = log.iter().find(|event| event.stream == worked.stream);
    assert_eq!(worked.metadata.actor, "service:test");
    assert_eq!(worked.metadata.causation, first.map(|event| event.id));
}

async fn replicas_share_the_streams(place: Place) {
    let (store, (clock, _time), diary) = (place.open().await, clock(), Arc::default());
    let replicas = [
        Running::start(&store, &clock, &diary, noon()),
        Running::start(&place.open().await, &clock, &diary, noon()),
        Running::start(&place.open().await, &clock, &diary, noon()),
    ];
    begin(&store, 20).await;
    all_full(&store, 20).await;
    for replica in replicas {
        replica.stop().await;
    }
    assert_eq!(diary.steps.lock().unwrap().len(), 60);
}

async fn what_an_error_stopped_is_tried_again(place: Place) {
    let (store, (clock, _time)) = (place.open().await, clock());
    let diary = Arc::new(Diary {
        fails_at: Mutex::new(Some(2)),
        ..Diary::default()
    });
    let running = Running::start(&store, &clock, &diary, noon());
    let ids = begin(&store, 1).await;
    all_full(&store, 1).await;
    running.stop().await;
    let steps = diary.steps.lock().unwrap().clone();
    assert_eq!(steps, [1, 2, 2, 3].map(|total| (ids[0], total)));
}

async fn nothing_is_done_before_its_time(place: Place) {
    let (store, (clock, time), diary) = (place.open().await, clock(), Arc::default());
    let from = noon() + SignedDuration::from_mins(5);
    let running = Running::start(&store, &clock, &diary, from);
    begin(&store, 1).await;
    time.advance(Duration::from_secs(299));
    // Another worker, whose time has come, shows that the first one could have worked.
    let other = Arc::default();
    let earlier = Running::start(&store, &clock, &other, noon());
    eventually("the other is done", async || {
        other.steps.lock().unwrap().len() == 3
    })
    .await;
    earlier.stop().await;
    assert_eq!(*diary.steps.lock().unwrap(), []);
    begin(&store, 1).await;
    time.advance(Duration::from_secs(1));
    all_full(&store, 2).await;
    running.stop().await;
}

async fn a_stop_finishes_the_step_that_was_begun(place: Place) {
    let (store, (clock, _time)) = (place.open().await, clock());
    let diary = Arc::new(Diary {
        gate: Some(Notify::new()),
        ..Diary::default()
    });
    let running = Running::start(&store, &clock, &diary, noon());
    let ids = begin(&store, 1).await;
    within(diary.entered.notified()).await;
    running.shutdown.cancel();
    diary.gate.as_ref().unwrap().notify_one();
    within(running.task).await.unwrap();
    assert_eq!(*diary.steps.lock().unwrap(), [(ids[0], 1)]);
    assert_eq!(total(&store, ids[0]).await, Some(2));
}

/// Also by a worker that has lost its lease without noticing it.
async fn an_intent_is_recorded_once(place: Place) {
    let (store, (clock, _time)) = (place.open().await, clock());
    let ids = begin(&store, 1).await;
    let (longest, shutdown) = (Duration::from_secs(60), CancellationToken::new());
    let jobs = Jobs::<Counter>::new(&store, &clock, new_id(), longest, &shutdown);
    let job = jobs.load(ids[0]).await.unwrap();
    store
        .execute::<Counter>(ids[0], &Command::Add(5), &context(new_id()))
        .await
        .unwrap();
    assert!(jobs.claim(&job, &Command::Add(1)).await.unwrap().is_none());
    assert_eq!(total(&store, ids[0]).await, Some(6));
    let done = jobs.record(&job, &Command::Add(1)).await.unwrap().unwrap();
    assert_eq!(done.state.total, 7);
    store
        .execute::<Counter>(ids[0], &Command::Close, &context(new_id()))
        .await
        .unwrap();
    // The aggregate refuses it: that is no error, things have changed.
    assert!(jobs.record(&job, &Command::Add(1)).await.unwrap().is_none());
}

async fn a_stream_that_is_due_without_a_step_is_left_alone(place: Place) {
    let (store, (clock, _time)) = (place.open().await, clock());
    let diary = Arc::new(Diary {
        names_all: true,
        ..Diary::default()
    });
    let running = Running::start(&store, &clock, &diary, noon());
    begin(&store, 1).await;
    all_full(&store, 1).await;
    let before = diary.looks.load(Ordering::Relaxed);
    // Nothing happens that could be waited for: a pause of half a second allows three looks in this time, and a slow
    // machine fewer; without it there would be hundreds.
    sleep(Duration::from_millis(1200)).await;
    assert!(diary.looks.load(Ordering::Relaxed) - before < 10);
    // What is new is worked on meanwhile.
    begin(&store, 1).await;
    all_full(&store, 2).await;
    running.stop().await;
}
