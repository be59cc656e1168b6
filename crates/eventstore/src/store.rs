//! The event store as services use it.

use std::sync::Arc;

use sqlx::Row as _;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use crate::{
    Aggregate, Append, Appended, Context, Database, InboxEntry, Metadata, NewEvent, Projection,
    RecordedEvent, Stream,
    writer::{Reply, Writer, head},
};

/// How often a command is decided anew when somebody else was faster.
const CONFLICT_RETRIES: usize = 10;
/// Appends that may wait for the writer.
const QUEUE: usize = 1024;

/// A service's event store. Cheap to clone.
#[derive(Clone)]
pub struct EventStore {
    database: Database,
    queue: mpsc::Sender<(Append, Reply)>,
    head: watch::Receiver<i64>,
    projections: Arc<[Arc<dyn Projection>]>,
}

/// What can go wrong with the store itself.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else appended first: load again and decide anew.
    #[error("stream {stream} is at version {actual}, expected {expected}")]
    Conflict {
        /// Which stream.
        stream: Stream,
        /// What the append expected.
        expected: i64,
        /// What it is.
        actual: i64,
    },
    /// An event id of this append stands in another stream, or only some of its ids are known.
    #[error("an event id of the append to {0} was used before")]
    EventIdReused(Stream),
    /// The database is away or too busy; the same call may succeed later.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// The database refused the statement.
    #[error("database: {0}")]
    Database(String),
    /// A payload could not be written or read.
    #[error("event codec: {0}")]
    Codec(String),
    /// A view could not take an event in.
    #[error("projection: {0}")]
    Projection(String),
    /// A view's rule over several streams forbids the events; nothing was appended.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// The store was closed.
    #[error("the event store is closed")]
    Closed,
}

impl StoreError {
    pub(crate) fn duplicate(&self) -> Self {
        match self {
            Self::Conflict {
                stream,
                expected,
                actual,
            } => Self::Conflict {
                stream: stream.clone(),
                expected: *expected,
                actual: *actual,
            },
            Self::EventIdReused(stream) => Self::EventIdReused(stream.clone()),
            Self::Unavailable(words) => Self::Unavailable(words.clone()),
            Self::Database(words) => Self::Database(words.clone()),
            Self::Codec(words) => Self::Codec(words.clone()),
            Self::Projection(words) => Self::Projection(words.clone()),
            Self::Refused(rule) => Self::Refused(rule),
            Self::Closed => Self::Closed,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolClosed => Self::Unavailable(error.to_string()),
            // 57P0x: the server shuts down or restarts; 53300: no connection free; 5 and 517: SQLite is busy.
            sqlx::Error::Database(d)
                if d.code().is_some_and(|c| {
                    c.starts_with("57P")
                        || c == "53300"
                        || c.starts_with("08")
                        || c == "5"
                        || c == "517"
                }) =>
            {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Database(error.to_string()),
        }
    }
}

/// An aggregate as the log gives it.
#[derive(Debug, Clone)]
pub struct Loaded<A> {
    /// Folded from every event of the stream.
    pub state: A,
    /// 0 where the stream does not exist.
    pub version: i64,
}

/// What a command did.
#[derive(Debug, Clone)]
pub struct Outcome<A: Aggregate> {
    /// After the command.
    pub state: A,
    /// After the command.
    pub version: i64,
    /// Empty where the command had had its effect before.
    pub events: Vec<A::Event>,
}

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R: std::error::Error> {
    /// The domain refuses it.
    #[error(transparent)]
    Rejected(R),
    /// The caller expected another version (`If-Match`).
    #[error("expected version {expected}, found {actual}")]
    VersionMismatch {
        /// What the caller expected.
        expected: i64,
        /// What it is.
        actual: i64,
    },
    /// The same idempotency key came with another command.
    #[error("the idempotency key was used for another command")]
    KeyReused,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EventStore {
    /// Starts the writer on an opened database. The writer ends when the last clone is dropped.
    pub async fn start(
        database: Database,
        projections: Vec<Arc<dyn Projection>>,
    ) -> Result<Self, StoreError> {
        let mut connection = database.pool().acquire().await?;
        let (head_sender, head_receiver) = watch::channel(head(&mut connection).await?);
        drop(connection);
        let projections: Arc<[Arc<dyn Projection>]> = projections.into();
        let (queue, receiver) = mpsc::channel(QUEUE);
        let writer = Writer {
            database: database.clone(),
            projections: Arc::clone(&projections),
            head: head_sender,
        };
        tokio::spawn(writer.run(receiver));
        Ok(Self {
            database,
            queue,
            head: head_receiver,
            projections,
        })
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
    pub async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue
            .send((append, reply))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Events of every stream after a position, in order.
    pub async fn read(&self, after: i64, limit: i64) -> Result<Vec<RecordedEvent>, StoreError> {
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
    pub async fn read_stream(&self, stream: &Stream) -> Result<Vec<RecordedEvent>, StoreError> {
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
    pub async fn load<A: Aggregate>(&self, id: Uuid) -> Result<Loaded<A>, StoreError> {
        self.load_recorded::<A>(id).await.map(|(loaded, _)| loaded)
    }

    /// Folds a stream up to a version; for the relay, which sees an event later than it was appended.
    pub async fn load_at<A: Aggregate>(&self, id: Uuid, version: i64) -> Result<A, StoreError> {
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

    async fn load_recorded<A: Aggregate>(
        &self,
        id: Uuid,
    ) -> Result<(Loaded<A>, Vec<RecordedEvent>), StoreError> {
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

    /// Loads, decides and appends; decides anew when somebody else was faster.
    pub async fn execute<A: Aggregate>(
        &self,
        id: Uuid,
        command: &A::Command,
        context: &Context,
    ) -> Result<Outcome<A>, ExecuteError<A::Rejection>> {
        self.run::<A>(id, command, context, None, None).await
    }

    /// As [`execute`](Self::execute), but only at this version of the stream (`If-Match`); 0: at any.
    pub async fn execute_at<A: Aggregate>(
        &self,
        id: Uuid,
        version: u64,
        command: &A::Command,
        context: &Context,
    ) -> Result<Outcome<A>, ExecuteError<A::Rejection>> {
        let expected = i64::try_from(version).unwrap_or(i64::MAX);
        self.run::<A>(
            id,
            command,
            context,
            (expected > 0).then_some(expected),
            None,
        )
        .await
    }

    /// As [`execute`](Self::execute), once for each message: the inbox is marked in the same transaction. A
    /// message that was handled before changes nothing and succeeds.
    pub async fn execute_once<A: Aggregate>(
        &self,
        id: Uuid,
        command: &A::Command,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<Outcome<A>, ExecuteError<A::Rejection>> {
        self.run::<A>(id, command, context, None, Some(entry)).await
    }

    async fn run<A: Aggregate>(
        &self,
        id: Uuid,
        command: &A::Command,
        context: &Context,
        expected: Option<i64>,
        inbox: Option<InboxEntry>,
    ) -> Result<Outcome<A>, ExecuteError<A::Rejection>> {
        let stream = Stream::of::<A>(id);
        let mut tries = 0;
        loop {
            let (Loaded { mut state, version }, recorded) = self.load_recorded::<A>(id).await?;
            // A repetition must be recognised before the rules refuse it ("approve" of what is approved).
            let first = context.event_id(&stream, 0);
            if let Some(earlier) = recorded.iter().find(|e| e.id == first) {
                same_command(&earlier.metadata, &context.metadata)
                    .map_err(|()| ExecuteError::KeyReused)?;
                return Ok(Outcome {
                    state,
                    version,
                    events: Vec::new(),
                });
            }
            if let Some(expected) = expected.filter(|e| *e != version) {
                return Err(ExecuteError::VersionMismatch {
                    expected,
                    actual: version,
                });
            }
            let events = state.decide(command).map_err(ExecuteError::Rejected)?;
            if events.is_empty() && inbox.is_none() {
                return Ok(Outcome {
                    state,
                    version,
                    events,
                });
            }
            let mut encoded = Vec::with_capacity(events.len());
            for (index, event) in events.iter().enumerate() {
                let event_id = context.event_id(&stream, index);
                encoded.push(NewEvent::encode::<A>(
                    event_id,
                    event,
                    context.metadata.clone(),
                )?);
            }
            let append = Append {
                stream: stream.clone(),
                expected_version: version,
                events: encoded,
                inbox: inbox.clone(),
                now: context.now,
            };
            match self.append(append).await {
                Ok(Appended::New(new)) => {
                    events.iter().for_each(|event| state.evolve(event));
                    return Ok(Outcome {
                        state,
                        version: new.last().map_or(version, |e| e.version),
                        events,
                    });
                }
                Ok(Appended::Repeated | Appended::AlreadyHandled) => {
                    let Loaded { state, version } = self.load::<A>(id).await?;
                    return Ok(Outcome {
                        state,
                        version,
                        events: Vec::new(),
                    });
                }
                Err(StoreError::Conflict { .. }) if tries < CONFLICT_RETRIES => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Empties the views and fills them again from the log. Prints nothing; `progress` gets the position after
    /// each page. Appends wait meanwhile in PostgreSQL and SQLite alike, since it is one transaction.
    pub async fn replay(&self, mut progress: impl FnMut(i64) + Send) -> Result<i64, StoreError> {
        let mut connection = self.database.pool().acquire().await?;
        let mut tx = crate::writer::begin(&mut connection, &self.database).await?;
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
                for projection in self.projections.iter() {
                    projection
                        .apply(&mut tx, &event)
                        .await
                        .map_err(|e| StoreError::Projection(e.to_string()))?;
                }
                position = event.position;
            }
            progress(position);
        }
        tx.commit().await?;
        Ok(position)
    }
}

fn same_command(earlier: &Metadata, now: &Metadata) -> Result<(), ()> {
    if earlier.command_digest == now.command_digest {
        Ok(())
    } else {
        Err(())
    }
}

fn record(row: &crate::Row) -> Result<RecordedEvent, StoreError> {
    let text = |index: usize| row.try_get::<String, _>(index);
    let codec = |e: &dyn std::fmt::Display| StoreError::Codec(e.to_string());
    Ok(RecordedEvent {
        position: row.try_get(0)?,
        id: text(1)?.parse().map_err(|e: uuid::Error| codec(&e))?,
        stream: text(2)?,
        version: row.try_get(3)?,
        event_type: text(4)?,
        schema_version: row.try_get(5)?,
        data: serde_json::from_str(&text(6)?).map_err(|e| codec(&e))?,
        metadata: serde_json::from_str(&text(7)?).map_err(|e| codec(&e))?,
        recorded_at: text(8)?.parse().map_err(|e: jiff::Error| codec(&e))?,
    })
}
