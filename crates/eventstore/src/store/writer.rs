//! The one writer of a process: gathers concurrent appends into one transaction.
//!
//! Position is commit order without gaps: positions are handed out under a lock that is held until the commit
//! (SQLite's write lock, in PostgreSQL an advisory transaction lock), so nobody can read position n+1 before n.
//!
//! `call` does it in one round trip, `plan` step by step, where there is something to find out.

mod call;
mod plan;

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;
use portico_bus::Message;
use sqlx::{AnyConnection, Row as _};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use call::Call;
use plan::Plan;

use super::{
    Change, NewEvent, Projection, ProjectionError, RecordedEvent, Result, StoreError, Stream, Tx,
    memory::{Memory, States},
    metrics::StoreMetrics,
};
use crate::{Database, fault};

/// The most appends that share a transaction.
const BATCH: usize = 256;
/// The part of a transaction's time, one in so many, in which those whom it answered may come back; and the longest time,
/// for a database that has just stalled.
const GATHERING: u32 = 8;
const GATHERING_MOST: Duration = Duration::from_millis(2);
/// How often a call is tried with another head before the log is asked for it under the lock.
const GUESSES: usize = 2;

/// An atomic append: events for one stream, and the inbox entry of the message that caused them.
#[derive(Debug, Clone)]
pub struct Append {
    /// Stream to append to.
    pub stream: Stream,
    /// The version that the stream must have, 0 where it must not exist.
    pub expected_version: i64,
    /// May be empty where only the inbox is to be marked.
    pub events: Vec<NewEvent>,
    /// The message that this append handles.
    pub inbox: Option<InboxEntry>,
    /// Time of recording.
    pub now: Timestamp,
}

/// A message that a consumer handles in one append. Events come from it, so they show that it was handled; where there
/// are none, the entry is written: a second append with it then counts as handled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InboxEntry {
    /// The consumer's durable name.
    pub consumer: String,
    /// Id of the processed message; unique for a consumer.
    pub message_id: Uuid,
}

impl InboxEntry {
    pub(crate) fn of(message: &Message, consumer: &str) -> Self {
        Self {
            consumer: consumer.to_owned(),
            message_id: message.id,
        }
    }

    /// What the ids of its events are derived from.
    pub(crate) fn command_id(&self) -> Uuid {
        Uuid::new_v5(&self.message_id, self.consumer.as_bytes())
    }

    /// The entry of a further append that handles the same message; the label keeps them apart.
    pub fn step(&self, label: &str) -> Self {
        Self {
            consumer: format!("{}/{label}", self.consumer),
            message_id: self.message_id,
        }
    }
}

/// Result of an append.
#[derive(Debug, Clone)]
pub enum Appended {
    /// The events stand in the log.
    New(Vec<RecordedEvent>),
    /// The same event ids were appended before; nothing changed.
    Repeated,
    /// The message was handled before; nothing changed.
    AlreadyHandled,
}

/// What is written in the transaction of an append, such as the secrets that its events refer to. Not written again
/// where the append is a repetition.
#[derive(Clone)]
pub struct Beside(Arc<Write>);

type Write = dyn for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<(), BesideError>> + Send + Sync;
type BesideError = Box<dyn std::error::Error + Send + Sync>;

impl Beside {
    /// Called for each try to commit.
    pub fn new(
        write: impl for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<(), BesideError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(write))
    }

    async fn write(&self, tx: &mut Tx) -> Result<()> {
        let written = (self.0)(tx).await;
        written.map_err(|error| match error.downcast::<sqlx::Error>() {
            Ok(error) => (*error).into(),
            Err(error) => StoreError::Database(error.to_string()),
        })
    }
}

/// An append that waits for the writer.
pub(crate) struct Submitted {
    pub(crate) append: Append,
    pub(crate) states: Option<States>,
    pub(crate) beside: Option<Beside>,
    pub(crate) reply: oneshot::Sender<Result<Appended>>,
}

pub(crate) struct Writer {
    pub(crate) database: Database,
    pub(crate) projections: Arc<[Arc<dyn Projection>]>,
    pub(crate) head: watch::Sender<i64>,
    pub(crate) memory: Memory,
    pub(crate) numbers: StoreMetrics,
}

impl Writer {
    /// Runs until every sender is gone.
    pub(crate) async fn run(self, mut queue: mpsc::Receiver<Submitted>) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            let began = Instant::now();
            let written = self.commit(&batch).await;
            // Who came meanwhile, and who is answered now and may append again at once.
            let together = (batch.len() + queue.len()).min(BATCH);
            let spare = (began.elapsed() / GATHERING).min(GATHERING_MOST);
            self.database.written(&written);
            match written {
                Ok(results) => answer(batch.drain(..), results),
                Err(error) if batch.len() == 1 || matches!(error, StoreError::Unavailable(_)) => {
                    let errors = batch.iter().map(|_| Err(error.clone())).collect();
                    answer(batch.drain(..), errors);
                }
                Err(_) => self.each_alone(batch.drain(..)).await,
            }
            // Otherwise clients fall into two groups, each of which waits for the sync of the other one.
            let until = Instant::now() + spare;
            while together > 1 && queue.len() < together && Instant::now() < until {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Appends one by one after a batch failed, so that one bad append does not fail the others.
    async fn each_alone(&self, batch: impl Iterator<Item = Submitted>) {
        let mut unavailable = None;
        for submitted in batch {
            let alone = [submitted];
            let result = match &unavailable {
                // The database is gone: each would wait as long as the first one did.
                Some(words) => Err(StoreError::Unavailable(String::clone(words))),
                None => self
                    .commit(&alone)
                    .await
                    .and_then(|mut results| results.pop().unwrap_or(Err(StoreError::Closed))),
            };
            if let Err(StoreError::Unavailable(words)) = &result {
                unavailable = Some(words.clone());
            }
            answer(alone, vec![result]);
        }
    }

    async fn commit(&self, batch: &[Submitted]) -> Result<Vec<Result<Appended>>> {
        let began = Instant::now();
        let appends: Vec<&Append> = batch.iter().map(|submitted| &submitted.append).collect();
        let results = match self.call(batch, &appends).await? {
            Some(appended) => appended.into_iter().map(Ok).collect(),
            None => self.step_by_step(batch, &appends).await?,
        };
        let new = in_order(batch, &results);
        let recorded = new.iter().flat_map(|(_, events)| events.iter());
        kill_points("appended", recorded.clone());
        self.numbers
            .committed(batch.len(), recorded, began.elapsed());
        for (submitted, events) in &new {
            let after = submitted.states.as_ref();
            let after = after.map(|states| Arc::clone(&states.after));
            self.memory.committed(events, after);
        }
        let mut last = new.iter().filter_map(|(_, events)| events.last());
        if let Some(last) = last.next_back() {
            // After it is remembered, for whoever is woken looks there first.
            self.head.send_replace(last.position);
        }
        Ok(results)
    }

    /// In an open transaction: what does not fit the log is found, and said of each.
    async fn step_by_step(
        &self,
        batch: &[Submitted],
        appends: &[&Append],
    ) -> Result<Vec<Result<Appended>>> {
        let mut tx = Tx::begin(&self.database).await?;
        let mut plan = Plan::new(tx.connection()?, self.database.dialect);
        let results = plan.write(appends).await?;
        let new = in_order(batch, &results);
        self.write_beside(&mut tx, &new).await?;
        kill_points(
            "appending",
            new.iter().flat_map(|(_, events)| events.iter()),
        );
        tx.commit().await?;
        Ok(results)
    }

    /// In one call, on the guess that everything fits the log. `None` where it does not, or something must be
    /// asked in between: then nothing was written.
    async fn call(
        &self,
        batch: &[Submitted],
        appends: &[&Append],
    ) -> Result<Option<Vec<Appended>>> {
        let Some(call) = Call::of(appends, self.database.dialect)? else {
            return Ok(None);
        };
        let mut head = *self.head.borrow();
        for _ in 0..GUESSES {
            let results = call.results_after(head);
            let new = in_order(batch, &results);
            let mut tx = Tx::gathering(self.database.dialect);
            // What fails here is found again, and said, step by step.
            let written = self.write_beside(&mut tx, &new).await;
            let (Ok(()), Some(writes)) = (written, tx.gathered()) else {
                return Ok(None);
            };
            kill_points(
                "appending",
                new.iter().flat_map(|(_, events)| events.iter()),
            );
            match call.make(&self.database, head, writes).await? {
                Some(found) if found == head => {
                    return Ok(Some(results.into_iter().flatten().collect()));
                }
                // Other replicas have appended.
                Some(found) => head = found,
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The views, and what was given to be written with the events.
    async fn write_beside(&self, tx: &mut Tx, new: &[New<'_>]) -> Result<()> {
        for (submitted, events) in new {
            if let Some(beside) = &submitted.beside {
                beside.write(tx).await?;
            }
            let change = Change::of(events, submitted.states.as_ref());
            project(&self.projections, tx, &change).await?;
        }
        Ok(())
    }
}

/// An append that is new, and its events.
type New<'a> = (&'a Submitted, &'a [RecordedEvent]);

fn kill_points<'a>(name: &'static str, events: impl Iterator<Item = &'a RecordedEvent>) {
    fault::point(name);
    for event in events {
        fault::point_of(name, &event.event_type);
    }
}

/// The appends that are new, in the order of the log.
fn in_order<'a>(batch: &'a [Submitted], results: &'a [Result<Appended>]) -> Vec<New<'a>> {
    let new = |(submitted, result): (&'a Submitted, &'a Result<Appended>)| match result {
        Ok(Appended::New(events)) => Some((submitted, events.as_slice())),
        _ => None,
    };
    let mut new: Vec<_> = batch.iter().zip(results).filter_map(new).collect();
    new.sort_by_key(|(_, events)| events.first().map(|event| event.position));
    new
}

/// Applies a change to every view.
pub(crate) async fn project(
    projections: &[Arc<dyn Projection>],
    tx: &mut Tx,
    change: &Change<'_>,
) -> Result<()> {
    for projection in projections {
        // A panic must not end the writer, which every append of the process needs.
        let applied = AssertUnwindSafe(projection.apply(tx, change))
            .catch_unwind()
            .await;
        match applied {
            Ok(Ok(())) => {}
            Ok(Err(ProjectionError::Database(error))) => return Err(error.into()),
            Ok(Err(ProjectionError::Refused(rule))) => return Err(StoreError::Refused(rule)),
            Ok(Err(other)) => return Err(StoreError::Projection(other.to_string())),
            Err(_) => {
                let words = format!("panic from position {} on", change.position());
                return Err(StoreError::Projection(words));
            }
        }
    }
    Ok(())
}

fn answer(batch: impl IntoIterator<Item = Submitted>, results: Vec<Result<Appended>>) {
    for (submitted, result) in batch.into_iter().zip(results) {
        // The caller may have gone; what was committed stays.
        drop(submitted.reply.send(result));
    }
}

pub(crate) async fn head(connection: &mut AnyConnection) -> sqlx::Result<i64> {
    sqlx::query("SELECT COALESCE(MAX(position), 0) FROM events")
        .fetch_one(connection)
        .await?
        .try_get(0)
}
