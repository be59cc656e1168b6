//! The log of a service: append, load, execute a command, read by position, rebuild the views.
//!
//! * `event`: events as they are appended and as they were recorded, their streams and metadata
//! * `execute`: load, decide, append; again on a conflict
//! * `writer`: gathers concurrent appends into one transaction, with the views and the inbox
//! * `memory`: the newest events and the states that were used last, so that the database is not asked again
//! * `projection`: a view, which follows the log; `table`: how its rows are written; [`rows`]: what is in them
//! * `tx`: the transaction of an append, open or gathered for one call
//! * `metrics`, `error`: what is counted; what can go wrong

mod error;
mod event;
mod execute;
mod memory;
mod metrics;
mod projection;
pub mod rows;
mod table;
mod tx;
mod writer;

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use jiff::Timestamp;
use sqlx::Row as _;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tracing::Instrument as _;
use uuid::Uuid;

pub use self::{
    error::{Result, StoreError},
    event::{Context, Metadata, NewEvent, Payload, RecordedEvent, Stream},
    execute::{ExecuteError, Outcome},
    projection::{Change, Projection, ProjectionError, Row, StreamChange},
    table::{Cell, Table},
    tx::Tx,
    writer::{Append, Appended, Beside, InboxEntry},
};
use self::{
    memory::{Memory, States},
    metrics::StoreMetrics,
    writer::{Submitted, Writer, head, project},
};
use crate::{Aggregate, Database, trace};

/// Locks for commands. Streams share them by hash, which costs them a little waiting at most.
const TURNS: usize = 1024;
/// Events that a rebuild applies at once: enough to write a row once for most of its events.
const PAGE: i64 = 1000;
/// Appends that may wait for the writer.
const QUEUE: usize = 1024;

/// A service's event store. Cheap to clone.
#[derive(Clone)]
pub struct EventStore {
    database: Database,
    queue: mpsc::Sender<Submitted>,
    head: watch::Receiver<i64>,
    memory: Memory,
    projections: Arc<[Arc<dyn Projection>]>,
    turns: Arc<[Mutex<()>]>,
}

/// An aggregate folded from the log.
#[derive(Debug, Clone)]
pub struct Loaded<A> {
    /// Folded from every event of the stream.
    pub state: A,
    /// 0 where the stream does not exist.
    pub version: i64,
    /// The newest event; none where the stream does not exist.
    pub(crate) last: Option<Last>,
}

/// The newest event of a stream.
#[derive(Debug, Clone)]
pub(crate) struct Last {
    pub(crate) id: Uuid,
    pub(crate) metadata: Metadata,
    pub(crate) recorded_at: Timestamp,
}

impl<A: Aggregate> Loaded<A> {
    /// A stream that does not exist.
    fn nothing() -> Self {
        Self {
            state: A::default(),
            version: 0,
            last: None,
        }
    }

    /// The state after events that are to be appended.
    fn after(&self, events: &[A::Event], append: &Append) -> Self {
        let mut state = self.state.clone();
        events.iter().for_each(|event| state.evolve(event));
        let last = append.events.last();
        Self {
            state,
            version: self.version + i64::try_from(append.events.len()).unwrap_or_default(),
            last: last.map_or_else(
                || self.last.clone(),
                |last| {
                    Some(Last {
                        id: last.id,
                        metadata: last.metadata.clone(),
                        recorded_at: append.now,
                    })
                },
            ),
        }
    }

    /// What follows in the log.
    fn fold<'a>(&mut self, events: impl IntoIterator<Item = &'a RecordedEvent>) -> Result<()> {
        let mut last = None;
        for event in events {
            if let Some(event) = event.decode::<A>()? {
                self.state.evolve(&event);
            }
            last = Some(event);
        }
        if let Some(event) = last {
            self.version = event.version;
            self.last = Some(Last {
                id: event.id,
                metadata: event.metadata.clone(),
                recorded_at: event.recorded_at,
            });
        }
        Ok(())
    }
}

impl EventStore {
    /// Starts the writer on an opened database. The writer ends when the last clone is dropped.
    pub async fn start(database: Database, projections: Vec<Arc<dyn Projection>>) -> Result<Self> {
        let mut connection = database.pool().acquire().await?;
        let (head_sender, head_receiver) = watch::channel(head(&mut connection).await?);
        drop(connection);
        let projections: Arc<[Arc<dyn Projection>]> = projections.into();
        let (queue, receiver) = mpsc::channel(QUEUE);
        let memory = Memory::new();
        let writer = Writer {
            database: database.clone(),
            projections: Arc::clone(&projections),
            head: head_sender,
            memory: memory.clone(),
            numbers: StoreMetrics::new(database.service()),
        };
        tokio::spawn(writer.run(receiver));
        Ok(Self {
            database,
            queue,
            head: head_receiver,
            memory,
            projections,
            turns: (0..TURNS).map(|_| Mutex::default()).collect(),
        })
    }

    /// The lock under which commands for a stream are decided and appended. Without it each of two at once would load the
    /// stream again after the other one, and a thousand a thousand times.
    pub(crate) fn turn(&self, stream: &Stream) -> &Mutex<()> {
        let mut hasher = DefaultHasher::new();
        stream.hash(&mut hasher);
        // The remainder is smaller than TURNS.
        &self.turns[(hasher.finish() % TURNS as u64) as usize]
    }

    /// The database, for queries on views.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The last position written by this process; changes wake up readers. Other replicas' appends are found by
    /// polling.
    pub fn head(&self) -> watch::Receiver<i64> {
        self.head.clone()
    }

    /// Appends, all or nothing. Repeating an append with the same event ids changes nothing and succeeds.
    pub async fn append(&self, append: Append) -> Result<Appended> {
        self.append_as(append, None, None).await
    }

    /// As [`append`](Self::append); where the events are new, the state after them is remembered, and `beside` written.
    async fn append_as(
        &self,
        append: Append,
        states: Option<States>,
        beside: Option<Beside>,
    ) -> Result<Appended> {
        let span = tracing::info_span!(
            target: trace::EXPORTED,
            "append",
            portico.stream = append.stream.as_str(),
            portico.events = append.events.len(),
        );
        let (reply, answer) = oneshot::channel();
        let submitted = Submitted {
            append,
            states,
            beside,
            reply,
        };
        let done = async {
            let sent = self.queue.send(submitted).await;
            sent.map_err(|_| StoreError::Closed)?;
            answer.await.map_err(|_| StoreError::Closed)?
        };
        done.instrument(span).await
    }

    /// Events of every stream after a position, in order. Those that this process has appended last cost no query.
    pub async fn read(&self, after: i64, limit: i64) -> Result<Vec<RecordedEvent>> {
        let most = usize::try_from(limit).unwrap_or_default();
        if let Some(events) = self.memory.after(after, most, RecordedEvent::clone) {
            return Ok(events);
        }
        self.page(after, limit).await
    }

    async fn page(&self, after: i64, limit: i64) -> Result<Vec<RecordedEvent>> {
        let rows = sqlx::query(
            "SELECT position, id, stream, version, type, schema_version, data, metadata, recorded_at \
             FROM events WHERE position > $1 ORDER BY position LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(self.database.pool())
        .await?;
        rows.iter().map(record).collect()
    }

    /// Events of one stream, in order.
    pub async fn read_stream(&self, stream: &Stream) -> Result<Vec<RecordedEvent>> {
        self.read_stream_after(stream, 0).await
    }

    async fn read_stream_after(&self, stream: &Stream, version: i64) -> Result<Vec<RecordedEvent>> {
        let rows = sqlx::query(
            "SELECT position, id, stream, version, type, schema_version, data, metadata, recorded_at \
             FROM events WHERE stream = $1 AND version > $2 ORDER BY version",
        )
        .bind(stream.as_str().to_owned())
        .bind(version)
        .fetch_all(self.database.pool())
        .await?;
        rows.iter().map(record).collect()
    }

    /// Folds a stream. Only what was appended after the remembered state is read.
    pub async fn load<A: Aggregate>(&self, id: Uuid) -> Result<Loaded<A>> {
        let stream = Stream::of::<A>(id);
        let known = self.memory.state::<A>(&stream);
        if let Some(known) = known.as_ref().filter(|_| self.database.is_alone) {
            return Ok(Loaded::clone(known));
        }
        let mut loaded = known.map_or_else(Loaded::nothing, |known| Loaded::clone(&known));
        let newer = self.read_stream_after(&stream, loaded.version).await?;
        loaded.fold(&newer)?;
        self.memory.learn(&stream, &loaded);
        Ok(loaded)
    }

    /// As [`load`](Self::load), up to two seconds old: for settings that others seldom change, read in passing. What this
    /// process has appended is always seen.
    pub async fn recent<A: Aggregate>(&self, id: Uuid) -> Result<Arc<Loaded<A>>> {
        match self.memory.recent(&Stream::of::<A>(id)) {
            Some(known) => Ok(known),
            None => self.load(id).await.map(Arc::new),
        }
    }

    /// A stream as this process saw it last, which other replicas may have changed since.
    pub fn remembered<A: Aggregate>(&self, id: Uuid) -> Option<Arc<Loaded<A>>> {
        self.memory.state(&Stream::of::<A>(id))
    }

    /// The categories and ids of the streams that were appended to after a position; `None` where this process does not
    /// remember all of it.
    pub(crate) fn appended_after(&self, position: i64) -> Option<Vec<(String, Uuid)>> {
        let stream = |event: &RecordedEvent| (event.category().to_owned(), event.stream_id());
        let appended: BTreeSet<_> = self
            .memory
            .after(position, usize::MAX, stream)?
            .into_iter()
            .collect();
        Some(appended.into_iter().collect())
    }

    /// Folds a stream up to a version; for the relay, which sees an event later than it was appended.
    pub async fn load_at<A: Aggregate>(&self, id: Uuid, version: i64) -> Result<A> {
        if let Some(known) = self.remembered::<A>(id)
            && known.version == version
        {
            return Ok(known.state.clone());
        }
        let events = self.read_stream(&Stream::of::<A>(id)).await?;
        let mut loaded = Loaded::<A>::nothing();
        loaded.fold(events.iter().take_while(|event| event.version <= version))?;
        Ok(loaded.state)
    }

    pub(crate) async fn load_recorded<A: Aggregate>(
        &self,
        id: Uuid,
    ) -> Result<(Loaded<A>, Vec<RecordedEvent>)> {
        let stream = Stream::of::<A>(id);
        let recorded = self.read_stream(&stream).await?;
        let mut loaded = Loaded::nothing();
        loaded.fold(&recorded)?;
        self.memory.learn(&stream, &loaded);
        Ok((loaded, recorded))
    }

    /// The tables of the views.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &'static str> {
        self.projections
            .iter()
            .flat_map(|p| p.tables().iter().copied())
    }

    /// Rebuilds the views from the log. `progress` gets the position after each page. It is one transaction: readers see
    /// the old views until it ends, and appends wait, or are refused as unavailable when it takes longer than the lock
    /// timeout.
    pub async fn replay(&self, progress: impl FnMut(i64) + Send) -> Result<i64> {
        self.replay_by(PAGE, progress).await
    }

    /// As [`replay`](Self::replay), so many events at a time.
    pub async fn replay_by(&self, size: i64, mut progress: impl FnMut(i64) + Send) -> Result<i64> {
        let mut tx = Tx::begin(&self.database).await?;
        for table in self.tables() {
            tx.execute(format!("DELETE FROM {table}"), Vec::new())
                .await?;
        }
        // Read by another connection while the page before is applied: nobody appends meanwhile.
        let read = |after| {
            let store = self.clone();
            tokio::spawn(async move { store.page(after, size).await })
        };
        let (mut position, mut page) = (0, read(0));
        loop {
            let events = page.await.map_err(|_| StoreError::Closed)??;
            let Some(last) = events.last() else {
                break;
            };
            position = last.position;
            page = read(position);
            project(&self.projections, &mut tx, &Change::page(&events)).await?;
            progress(position);
        }
        tx.commit().await?;
        // Whoever rebuilds may have mended the log.
        self.memory.forget();
        Ok(position)
    }
}

fn record(row: &crate::Row) -> Result<RecordedEvent> {
    let text = |index: usize| row.try_get::<String, _>(index);
    Ok(RecordedEvent {
        position: row.try_get(0)?,
        id: text(1)?.parse().map_err(StoreError::codec::<uuid::Error>)?,
        stream: text(2)?,
        version: row.try_get(3)?,
        event_type: text(4)?,
        schema_version: row.try_get(5)?,
        data: text(6)?.into(),
        metadata: serde_json::from_str(&text(7)?).map_err(StoreError::codec)?,
        recorded_at: text(8)?.parse().map_err(StoreError::codec::<jiff::Error>)?,
    })
}
