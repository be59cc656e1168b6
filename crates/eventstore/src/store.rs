//! The log of a service: append, load, execute a command, read by position, rebuild the views.
//!
//! * `event`: events as they are appended and as they were recorded, their streams and metadata
//! * `execute`: load, decide, append; again on a conflict
//! * `writer`: gathers concurrent appends into one transaction, with the views and the inbox
//! * `projection`: a view, which follows the log; [`rows`]: what is in its rows
//! * `metrics`, `error`: what is counted; what can go wrong

mod error;
mod event;
mod execute;
mod metrics;
mod projection;
pub mod rows;
mod writer;

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use sqlx::Row as _;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tracing::Instrument as _;
use uuid::Uuid;

pub use self::{
    error::{Result, StoreError},
    event::{Context, Metadata, NewEvent, RecordedEvent, Stream},
    execute::{ExecuteError, Outcome},
    projection::{Projection, ProjectionError, Row},
    writer::{Append, Appended, InboxEntry},
};
use self::{
    metrics::StoreMetrics,
    writer::{Reply, Writer, begin, head, project},
};
use crate::{Aggregate, Database, trace};

/// Locks for retries after a conflict. Streams share them by hash, which costs them a little waiting at most.
const TURNS: usize = 64;
/// Appends that may wait for the writer.
const QUEUE: usize = 1024;

/// A service's event store. Cheap to clone.
#[derive(Clone)]
pub struct EventStore {
    database: Database,
    queue: mpsc::Sender<(Append, Reply)>,
    head: watch::Receiver<i64>,
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
}

impl EventStore {
    /// Starts the writer on an opened database. The writer ends when the last clone is dropped.
    pub async fn start(database: Database, projections: Vec<Arc<dyn Projection>>) -> Result<Self> {
        let mut connection = database.pool().acquire().await?;
        let (head_sender, head_receiver) = watch::channel(head(&mut connection).await?);
        drop(connection);
        let projections: Arc<[Arc<dyn Projection>]> = projections.into();
        let (queue, receiver) = mpsc::channel(QUEUE);
        let writer = Writer {
            database: database.clone(),
            projections: Arc::clone(&projections),
            head: head_sender,
            numbers: StoreMetrics::new(database.service()),
        };
        tokio::spawn(writer.run(receiver));
        Ok(Self {
            database,
            queue,
            head: head_receiver,
            projections,
            turns: (0..TURNS).map(|_| Mutex::default()).collect(),
        })
    }

    /// The lock under which commands for a stream retry after a conflict. Without it a thousand concurrent commands would
    /// load the stream a thousand times for each one that succeeds.
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
        let span = tracing::info_span!(
            target: trace::EXPORTED,
            "append",
            portico.stream = append.stream.as_str(),
            portico.events = append.events.len(),
        );
        self.hand_over(append).instrument(span).await
    }

    async fn hand_over(&self, append: Append) -> Result<Appended> {
        let (reply, answer) = oneshot::channel();
        self.queue
            .send((append, reply))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Events of every stream after a position, in order.
    pub async fn read(&self, after: i64, limit: i64) -> Result<Vec<RecordedEvent>> {
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
        let rows = sqlx::query(
            "SELECT position, id, stream, version, type, schema_version, data, metadata, recorded_at \
             FROM events WHERE stream = $1 ORDER BY version",
        )
        .bind(stream.as_str().to_owned())
        .fetch_all(self.database.pool())
        .await?;
        rows.iter().map(record).collect()
    }

    /// Folds a stream.
    pub async fn load<A: Aggregate>(&self, id: Uuid) -> Result<Loaded<A>> {
        self.load_recorded::<A>(id).await.map(|(loaded, _)| loaded)
    }

    /// Folds a stream up to a version; for the relay, which sees an event later than it was appended.
    pub async fn load_at<A: Aggregate>(&self, id: Uuid, version: i64) -> Result<A> {
        let mut state = A::default();
        for event in self
            .read_stream(&Stream::of::<A>(id))
            .await?
            .iter()
            .take_while(|e| e.version <= version)
        {
            if let Some(event) = event.decode::<A>()? {
                state.evolve(&event);
            }
        }
        Ok(state)
    }

    pub(crate) async fn load_recorded<A: Aggregate>(
        &self,
        id: Uuid,
    ) -> Result<(Loaded<A>, Vec<RecordedEvent>)> {
        let recorded = self.read_stream(&Stream::of::<A>(id)).await?;
        let mut state = A::default();
        for event in &recorded {
            if let Some(event) = event.decode::<A>()? {
                state.evolve(&event);
            }
        }
        let version = recorded.last().map_or(0, |e| e.version);
        Ok((Loaded { state, version }, recorded))
    }

    /// Rebuilds the views from the log. `progress` gets the position after each page. It is one transaction: readers see the old views until it ends, and appends wait, or are refused as
    /// unavailable when it takes longer than the lock timeout.
    pub async fn replay(&self, mut progress: impl FnMut(i64) + Send) -> Result<i64> {
        let mut connection = self.database.pool().acquire().await?;
        let mut tx = begin(&mut connection, &self.database).await?;
        for table in self.projections.iter().flat_map(|p| p.tables()) {
            sqlx::query(sqlx::AssertSqlSafe(format!("DELETE FROM {table}")))
                .execute(&mut *tx)
                .await?;
        }
        let mut position = 0;
        loop {
            let rows = sqlx::query(
                "SELECT position, id, stream, version, type, schema_version, data, metadata, recorded_at \
                 FROM events WHERE position > $1 ORDER BY position LIMIT 1000",
            )
            .bind(position)
            .fetch_all(&mut *tx)
            .await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let event = record(row)?;
                project(&self.projections, &mut tx, &event).await?;
                position = event.position;
            }
            progress(position);
        }
        tx.commit().await?;
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
        data: serde_json::from_str(&text(6)?).map_err(StoreError::codec)?,
        metadata: serde_json::from_str(&text(7)?).map_err(StoreError::codec)?,
        recorded_at: text(8)?.parse().map_err(StoreError::codec::<jiff::Error>)?,
    })
}
