//! What a batch of appends will write, decided in memory from bulk reads.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use sqlx::{Any, AssertSqlSafe, Row as _, Transaction};
use uuid::Uuid;

use super::{Append, Appended, InboxEntry};
use crate::{RecordedEvent, StoreError};

/// Rows in one `INSERT`; nine parameters each stay below SQLite's and PostgreSQL's limits.
const ROWS: usize = 500;

/// `$4, $5, $6` for three parameters from the fourth on. sqlx's query builder writes `?` for `Any`, which
/// PostgreSQL does not take.
fn placeholders(from: usize, count: usize) -> String {
    let names: Vec<String> = (from..from + count).map(|n| format!("${n}")).collect();
    names.join(", ")
}

/// What a batch will write.
pub(super) struct Plan {
    pub(super) position: i64,
    versions: HashMap<String, i64>,
    known_ids: HashMap<Uuid, String>,
    handled: BTreeSet<(String, Uuid)>,
    pub(super) recorded: Vec<RecordedEvent>,
    marks: Vec<(InboxEntry, Timestamp)>,
}

impl Plan {
    pub(super) async fn load(
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

    pub(super) fn take(&mut self, append: &Append) -> Result<Appended, StoreError> {
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
        let mut own = HashSet::new();
        let same = |id: &Uuid| self.known_ids.get(id).is_some_and(|s| s == stream);
        if append
            .events
            .iter()
            .any(|e| !own.insert(e.id) || (repeated && !same(&e.id)))
        {
            return Err(StoreError::EventIdReused(append.stream.clone()));
        }
        if !repeated {
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

    pub(super) async fn write(&self, tx: &mut Transaction<'_, Any>) -> Result<(), StoreError> {
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
