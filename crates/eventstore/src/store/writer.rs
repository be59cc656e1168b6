//! The one writer of a process: gathers concurrent appends into one transaction.
//!
//! Position is commit order without gaps: positions are handed out under a lock that is held until the commit
//! (SQLite's write lock, in PostgreSQL an advisory transaction lock), so nobody can read position n+1 before n.

mod plan;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;
use portico_bus::Message;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Connection as _, Row as _, Transaction};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use plan::Plan;

use super::{
    Change, NewEvent, Projection, ProjectionError, RecordedEvent, Result, StoreError, Stream,
    memory::{Memory, States},
    metrics::StoreMetrics,
};
use crate::{
    database::{Database, Dialect},
    fault,
};

/// The most appends that share a transaction.
const BATCH: usize = 256;

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

type Write =
    dyn for<'t> Fn(&'t mut AnyConnection) -> BoxFuture<'t, Result<(), BesideError>> + Send + Sync;
type BesideError = Box<dyn std::error::Error + Send + Sync>;

impl Beside {
    /// Called for each try to commit.
    pub fn new(
        write: impl for<'t> Fn(&'t mut AnyConnection) -> BoxFuture<'t, Result<(), BesideError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(write))
    }

    async fn write(&self, tx: &mut AnyConnection) -> Result<()> {
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
            match self.commit(&batch).await {
                Ok(results) => answer(batch.drain(..), results),
                Err(error) if batch.len() == 1 || matches!(error, StoreError::Unavailable(_)) => {
                    let errors = batch.iter().map(|_| Err(error.clone())).collect();
                    answer(batch.drain(..), errors);
                }
                Err(_) => self.each_alone(batch.drain(..)).await,
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

    async fn commit(&self, batch: &[Submitted]) -> Result<Vec<Result<Appended, StoreError>>> {
        let began = Instant::now();
        let mut connection = self.database.pool().acquire().await?;
        let mut tx = begin(&mut connection, &self.database).await?;
        let appends: Vec<&Append> = batch.iter().map(|submitted| &submitted.append).collect();
        let mut plan = Plan::new(&mut tx, self.database.dialect);
        let results = plan.write(&appends).await?;
        let recorded = plan.recorded;
        let new = in_order(batch, &results);
        for (submitted, events) in &new {
            if let Some(beside) = &submitted.beside {
                beside.write(&mut tx).await?;
            }
            let change = Change::of(events, submitted.states.as_ref());
            project(&self.projections, &mut tx, &change).await?;
        }
        let point = |name| {
            fault::point(name);
            for event in &recorded {
                fault::point_of(name, &event.event_type);
            }
        };
        point("appending");
        tx.commit().await?;
        point("appended");
        self.numbers
            .committed(batch.len(), &recorded, began.elapsed());
        for (submitted, events) in &new {
            let after = submitted.states.as_ref();
            let after = after.map(|states| Arc::clone(&states.after));
            self.memory.committed(events, after);
        }
        if let Some(last) = recorded.last() {
            // After it is remembered, for whoever is woken looks there first.
            self.head.send_replace(last.position);
        }
        Ok(results)
    }
}

/// The appends that are new, in the order of the log.
fn in_order<'a>(
    batch: &'a [Submitted],
    results: &'a [Result<Appended>],
) -> Vec<(&'a Submitted, &'a [RecordedEvent])> {
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
    tx: &mut AnyConnection,
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

/// A transaction that holds the write lock until it ends.
pub(crate) async fn begin<'c>(
    connection: &'c mut AnyConnection,
    database: &Database,
) -> sqlx::Result<Transaction<'c, Any>> {
    match database.dialect {
        Dialect::Sqlite => connection.begin_with("BEGIN IMMEDIATE").await,
        // READ COMMITTED, whatever the server's default is: the statements after the lock must see what the last
        // holder committed. In one round trip.
        Dialect::Postgres => {
            let statement = format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({})",
                database.lock_key
            );
            connection.begin_with(AssertSqlSafe(statement)).await
        }
    }
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
