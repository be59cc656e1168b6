//! What a batch of appends will write, decided in memory from bulk reads.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;
use sqlx::{Any, AssertSqlSafe, Row as _, Transaction};
use uuid::Uuid;

use super::{Append, Appended, InboxEntry};
use crate::{RecordedEvent, Result, StoreError, database::Dialect, rows};

/// Rows in one `INSERT`; nine parameters each stay below SQLite's and PostgreSQL's limits.
const ROWS: usize = 500;

const HEAD: &str = "head";
const VERSION: &str = "version";
const EVENT: &str = "event";

/// All that a batch depends on, in one statement: the kind of the row, two texts, a number. Its text never changes, so it
/// is parsed once, and each key is looked up in its index; of a list of keys PostgreSQL thinks that it is worth to read
/// the whole log. The keys are JSON, arrays in an array, which both databases read alike.
macro_rules! question {
    ($streams:literal, $ids:literal, $marks:literal) => {
        concat!(
            "SELECT 'head', '', '', COALESCE(MAX(position), 0) FROM events \
             UNION ALL SELECT 'version', k.value ->> 0, '', \
             COALESCE((SELECT MAX(version) FROM events WHERE stream = (k.value ->> 0)), 0) FROM ",
            $streams,
            " UNION ALL SELECT 'event', k.value ->> 0, (SELECT stream FROM events WHERE id = (k.value ->> 0)), 0 FROM ",
            $ids,
            " UNION ALL SELECT 'inbox', k.value ->> 0, (SELECT message_id FROM inbox \
             WHERE consumer = (k.value ->> 0) AND message_id = (k.value ->> 1)), 0 FROM ",
            $marks
        )
    };
}

fn question(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => question!(
            "json_each($1) AS k",
            "json_each($2) AS k",
            "json_each($3) AS k"
        ),
        Dialect::Postgres => question!(
            "json_array_elements(CAST($1 AS json)) AS k (value)",
            "json_array_elements(CAST($2 AS json)) AS k (value)",
            "json_array_elements(CAST($3 AS json)) AS k (value)"
        ),
    }
}

fn json<T: Serialize>(keys: impl IntoIterator<Item = T>) -> Result<String> {
    serde_json::to_string(&Vec::from_iter(keys)).map_err(StoreError::codec)
}

/// What a batch will write.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) position: i64,
    versions: HashMap<String, i64>,
    known_ids: HashMap<Uuid, String>,
    handled: BTreeSet<(String, Uuid)>,
    pub(super) recorded: Vec<RecordedEvent>,
    marks: Vec<(InboxEntry, Timestamp)>,
}

impl Plan {
    /// Reads what the batch depends on, in one round trip.
    pub(super) async fn load(
        tx: &mut Transaction<'_, Any>,
        dialect: Dialect,
        appends: &[&Append],
    ) -> Result<Self> {
        let streams: BTreeSet<&str> = appends.iter().map(|a| a.stream.as_str()).collect();
        let ids = appends.iter().flat_map(|a| &a.events);
        let marks = appends.iter().filter_map(|a| a.inbox.as_ref());
        let rows = sqlx::query(question(dialect))
            .bind(json(streams.into_iter().map(|stream| [stream]))?)
            .bind(json(ids.map(|event| [event.id]))?)
            .bind(json(
                marks.map(|entry| (&entry.consumer, entry.message_id)),
            )?)
            .fetch_all(&mut **tx)
            .await?;
        let mut plan = Self::default();
        for row in &rows {
            plan.learn(row)?;
        }
        Ok(plan)
    }

    fn learn(&mut self, row: &crate::Row) -> sqlx::Result<()> {
        let about: String = row.try_get(0)?;
        if about == HEAD {
            self.position = row.try_get(3)?;
            return Ok(());
        }
        let (first, second): (String, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
        match (about.as_str(), second) {
            (VERSION, _) => drop(self.versions.insert(first, row.try_get(3)?)),
            (EVENT, Some(stream)) => drop(self.known_ids.insert(rows::parsed(&first)?, stream)),
            (_, Some(message)) => drop(self.handled.insert((first, rows::parsed(&message)?))),
            // Neither in the log nor in the inbox.
            (_, None) => {}
        }
        Ok(())
    }

    pub(super) fn take(&mut self, append: &Append) -> Result<Appended> {
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

    pub(super) async fn write(&self, tx: &mut Transaction<'_, Any>) -> Result<()> {
        for chunk in self.recorded.chunks(ROWS) {
            let rows = rows::places(chunk.len(), 9);
            let statement = format!(
                "INSERT INTO events (position, id, stream, version, type, schema_version, data, metadata, \
                 recorded_at) VALUES {rows}"
            );
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for event in chunk {
                let metadata = serde_json::to_string(&event.metadata).map_err(StoreError::codec)?;
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
        for chunk in self.marks.chunks(ROWS) {
            let rows = rows::places(chunk.len(), 3);
            let statement =
                format!("INSERT INTO inbox (consumer, message_id, handled_at) VALUES {rows}");
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (entry, at) in chunk {
                query = query
                    .bind(entry.consumer.clone())
                    .bind(entry.message_id.to_string())
                    .bind(at.to_string());
            }
            query.execute(&mut **tx).await?;
        }
        Ok(())
    }
}
