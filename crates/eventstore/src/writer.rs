//! The one writer of a process: gathers concurrent appends into one transaction.
//!
//! Position is commit order without gaps: positions are handed out under a lock that is held until the commit
//! (SQLite's write lock, in PostgreSQL an advisory transaction lock), so nobody can read position n+1 before n.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Connection as _, Row as _, Transaction};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use crate::{
    NewEvent, Projection, ProjectionError, RecordedEvent, StoreError, Stream,
    database::{Database, Dialect},
};

/// The most appends that share a transaction.
const BATCH: usize = 256;
/// Rows in one `INSERT`; nine parameters each stay below SQLite's and PostgreSQL's limits.
const ROWS: usize = 500;

/// All or nothing: events for one stream, and the mark that a message was handled.
#[derive(Debug, Clone)]
pub struct Append {
    /// Where to.
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

/// A message and who handles it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InboxEntry {
    /// The consumer's durable name.
    pub consumer: String,
    /// The message's id.
    pub message_id: Uuid,
}

/// What an append did.
#[derive(Debug, Clone)]
pub enum Appended {
    /// The events stand in the log.
    New(Vec<RecordedEvent>),
    /// The same event ids were appended before; nothing changed.
    Repeated,
    /// The message was handled before; nothing changed.
    AlreadyHandled,
}

pub(crate) type Reply = oneshot::Sender<Result<Appended, StoreError>>;

pub(crate) struct Writer {
    pub(crate) database: Database,
    pub(crate) projections: Arc<[Arc<dyn Projection>]>,
    pub(crate) head: watch::Sender<i64>,
}

impl Writer {
    /// Runs until every sender is gone.
    pub(crate) async fn run(self, mut queue: mpsc::Receiver<(Append, Reply)>) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            let (appends, replies): (Vec<Append>, Vec<Reply>) = batch.drain(..).unzip();
            match self.commit(&appends).await {
                Ok(results) => answer(replies, results),
                Err(_) if appends.len() > 1 => {
                    // One of them breaks the transaction: each on its own, so that the others do not suffer.
                    for (append, reply) in appends.into_iter().zip(replies) {
                        let result = self.commit(std::slice::from_ref(&append)).await;
                        let single = result.and_then(|mut results| {
                            results.pop().unwrap_or(Err(StoreError::Closed))
                        });
                        answer(vec![reply], vec![single]);
                    }
                }
                Err(error) => {
                    for reply in replies {
                        answer(vec![reply], vec![Err(error.duplicate())]);
                    }
                }
            }
        }
    }

    async fn commit(
        &self,
        appends: &[Append],
    ) -> Result<Vec<Result<Appended, StoreError>>, StoreError> {
        let mut connection = self.database.pool().acquire().await?;
        let mut tx = begin(&mut connection, &self.database).await?;
        let before = head(&mut tx).await?;
        let mut plan = Plan::load(&mut tx, appends, before).await?;
        let results: Vec<_> = appends.iter().map(|append| plan.take(append)).collect();
        plan.write(&mut tx).await?;
        for event in &plan.recorded {
            for projection in self.projections.iter() {
                projection
                    .apply(&mut tx, event)
                    .await
                    .map_err(|error| match error {
                        ProjectionError::Database(e) => StoreError::from(e),
                        ProjectionError::Refused(rule) => StoreError::Refused(rule),
                        other => StoreError::Projection(other.to_string()),
                    })?;
            }
        }
        tx.commit().await?;
        if plan.position > before {
            self.head.send_replace(plan.position);
        }
        Ok(results)
    }
}

/// A transaction that holds the write lock until it ends.
pub(crate) async fn begin<'c>(
    connection: &'c mut AnyConnection,
    database: &Database,
) -> Result<Transaction<'c, Any>, sqlx::Error> {
    match database.dialect {
        Dialect::Sqlite => connection.begin_with("BEGIN IMMEDIATE").await,
        Dialect::Postgres => {
            let mut tx = connection.begin().await?;
            sqlx::query("SELECT CAST(pg_advisory_xact_lock($1) AS TEXT)")
                .bind(database.lock_key)
                .execute(&mut *tx)
                .await?;
            Ok(tx)
        }
    }
}

fn answer(replies: Vec<Reply>, results: Vec<Result<Appended, StoreError>>) {
    for (reply, result) in replies.into_iter().zip(results) {
        // The caller may have gone; what was committed stays.
        drop(reply.send(result));
    }
}

pub(crate) async fn head(connection: &mut AnyConnection) -> Result<i64, sqlx::Error> {
    sqlx::query("SELECT COALESCE(MAX(position), 0) FROM events")
        .fetch_one(connection)
        .await?
        .try_get(0)
}

/// `$4, $5, $6` for three parameters from the fourth on. sqlx's query builder writes `?` for `Any`, which
/// PostgreSQL does not take.
fn placeholders(from: usize, count: usize) -> String {
    let names: Vec<String> = (from..from + count).map(|n| format!("${n}")).collect();
    names.join(", ")
}

/// What a batch will write, decided in memory from three bulk reads.
struct Plan {
    position: i64,
    versions: HashMap<String, i64>,
    known_ids: HashMap<Uuid, String>,
    handled: BTreeSet<(String, Uuid)>,
    recorded: Vec<RecordedEvent>,
    marks: Vec<(InboxEntry, Timestamp)>,
}

impl Plan {
    async fn load(
        tx: &mut Transaction<'_, Any>,
        appends: &[Append],
        position: i64,
    ) -> Result<Self, sqlx::Error> {
        let mut plan = Self {
            position,
            versions: HashMap::new(),
            known_ids: HashMap::new(),
            handled: BTreeSet::new(),
            recorded: Vec::new(),
            marks: Vec::new(),
        };
        let streams: BTreeSet<&str> = appends.iter().map(|a| a.stream.as_str()).collect();
        let list = placeholders(1, streams.len());
        let statement = format!(
            "SELECT stream, MAX(version) FROM events WHERE stream IN ({list}) GROUP BY stream"
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for stream in streams {
            query = query.bind(stream.to_owned());
        }
        for row in query.fetch_all(&mut **tx).await? {
            plan.versions.insert(row.try_get(0)?, row.try_get(1)?);
        }
        plan.load_known_ids(tx, appends).await?;
        for entry in appends.iter().filter_map(|a| a.inbox.as_ref()) {
            let row = sqlx::query("SELECT 1 FROM inbox WHERE consumer = $1 AND message_id = $2")
                .bind(entry.consumer.clone())
                .bind(entry.message_id.to_string())
                .fetch_optional(&mut **tx)
                .await?;
            if row.is_some() {
                plan.handled
                    .insert((entry.consumer.clone(), entry.message_id));
            }
        }
        Ok(plan)
    }

    async fn load_known_ids(
        &mut self,
        tx: &mut Transaction<'_, Any>,
        appends: &[Append],
    ) -> Result<(), sqlx::Error> {
        let ids: Vec<String> = appends
            .iter()
            .flat_map(|a| a.events.iter().map(|e| e.id.to_string()))
            .collect();
        for chunk in ids.chunks(ROWS) {
            let list = placeholders(1, chunk.len());
            let mut query = sqlx::query(AssertSqlSafe(format!(
                "SELECT id, stream FROM events WHERE id IN ({list})"
            )));
            for id in chunk {
                query = query.bind(id.clone());
            }
            for row in query.fetch_all(&mut **tx).await? {
                let id: String = row.try_get(0)?;
                self.known_ids
                    .insert(id.parse().unwrap_or_default(), row.try_get(1)?);
            }
        }
        Ok(())
    }

    fn take(&mut self, append: &Append) -> Result<Appended, StoreError> {
        if let Some(entry) = &append.inbox
            && self
                .handled
                .contains(&(entry.consumer.clone(), entry.message_id))
        {
            return Ok(Appended::AlreadyHandled);
        }
        let stream = append.stream.as_str();
        let known = append
            .events
            .iter()
            .filter(|e| self.known_ids.contains_key(&e.id))
            .count();
        let repeated = known > 0;
        if repeated {
            let same = append
                .events
                .iter()
                .all(|e| self.known_ids.get(&e.id).is_some_and(|s| s == stream));
            if !same {
                return Err(StoreError::EventIdReused(append.stream.clone()));
            }
        } else {
            let version = self.versions.get(stream).copied().unwrap_or(0);
            if version != append.expected_version {
                return Err(StoreError::Conflict {
                    stream: append.stream.clone(),
                    expected: append.expected_version,
                    actual: version,
                });
            }
        }
        if let Some(entry) = &append.inbox {
            self.handled
                .insert((entry.consumer.clone(), entry.message_id));
            self.marks.push((entry.clone(), append.now));
        }
        if repeated {
            return Ok(Appended::Repeated);
        }
        Ok(Appended::New(self.record(append)))
    }

    fn record(&mut self, append: &Append) -> Vec<RecordedEvent> {
        let mut new = Vec::with_capacity(append.events.len());
        let stream = append.stream.as_str();
        for (index, event) in (1..).zip(&append.events) {
            self.position += 1;
            self.known_ids.insert(event.id, stream.to_owned());
            new.push(RecordedEvent {
                position: self.position,
                id: event.id,
                stream: stream.to_owned(),
                version: append.expected_version + index,
                event_type: event.event_type.clone(),
                schema_version: event.schema_version,
                data: event.data.clone(),
                metadata: event.metadata.clone(),
                recorded_at: append.now,
            });
        }
        if let Some(last) = new.last() {
            self.versions.insert(stream.to_owned(), last.version);
        }
        self.recorded.extend(new.iter().cloned());
        new
    }

    async fn write(&self, tx: &mut Transaction<'_, Any>) -> Result<(), StoreError> {
        for chunk in self.recorded.chunks(ROWS) {
            let rows: Vec<String> = (0..chunk.len())
                .map(|row| format!("({})", placeholders(row * 9 + 1, 9)))
                .collect();
            let statement = format!(
                "INSERT INTO events (position, id, stream, version, type, schema_version, data, metadata, \
                 recorded_at) VALUES {}",
                rows.join(", ")
            );
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for event in chunk {
                let metadata = serde_json::to_string(&event.metadata)
                    .map_err(|e| StoreError::Codec(e.to_string()))?;
                query = query
                    .bind(event.position)
                    .bind(event.id.to_string())
                    .bind(event.stream.clone())
                    .bind(event.version)
                    .bind(event.event_type.clone())
                    .bind(event.schema_version)
                    .bind(event.data.to_string())
                    .bind(metadata)
                    .bind(event.recorded_at.to_string());
            }
            query.execute(&mut **tx).await?;
        }
        for (entry, at) in &self.marks {
            sqlx::query("INSERT INTO inbox (consumer, message_id, handled_at) VALUES ($1, $2, $3)")
                .bind(entry.consumer.clone())
                .bind(entry.message_id.to_string())
                .bind(at.to_string())
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }
}
