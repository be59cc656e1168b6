//! What a batch of appends will write, decided in memory from bulk reads.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use sqlx::{Any, AssertSqlSafe, Row as _, Transaction};
use uuid::Uuid;

use super::{Append, Appended, InboxEntry};
use crate::{RecordedEvent, Result, StoreError};

/// Rows in one `INSERT`; nine parameters each stay below SQLite's and PostgreSQL's limits.
const ROWS: usize = 500;

/// `$4, $5, $6` for three parameters from the fourth on. sqlx's query builder writes `?` for `Any`, which
/// PostgreSQL does not take.
fn placeholders(from: usize, count: usize) -> String {
    let names: Vec<String> = (from..from + count).map(|n| format!("${n}")).collect();
    names.join(", ")
}

const HEAD: &str = "head";
const VERSION: &str = "version";
const EVENT: &str = "event";

/// One statement that reads all that a batch depends on: the kind of the row, two texts, a number.
struct Question {
    sql: String,
    values: Vec<String>,
}

impl Question {
    fn of(appends: &[&Append], ids: &[String]) -> Self {
        let mut question = Self {
            sql: format!("SELECT '{HEAD}', '', '', COALESCE(MAX(position), 0) FROM events"),
            values: Vec::new(),
        };
        let streams: BTreeSet<&str> = appends.iter().map(|a| a.stream.as_str()).collect();
        question.list(
            &format!("SELECT '{VERSION}', stream, '', MAX(version) FROM events WHERE stream IN"),
            streams.into_iter().map(str::to_owned),
            " GROUP BY stream",
        );
        question.list(
            &format!("SELECT '{EVENT}', id, stream, 0 FROM events WHERE id IN"),
            ids.iter().cloned(),
            "",
        );
        for entry in appends.iter().filter_map(|a| a.inbox.as_ref()) {
            let from = question.values.len() + 1;
            question.sql.push_str(&format!(
                " UNION ALL SELECT 'inbox', consumer, message_id, 0 FROM inbox \
                 WHERE consumer = ${from} AND message_id = ${}",
                from + 1
            ));
            question.values.push(entry.consumer.clone());
            question.values.push(entry.message_id.to_string());
        }
        question
    }

    fn list(&mut self, select: &str, values: impl Iterator<Item = String>, end: &str) {
        let from = self.values.len() + 1;
        self.values.extend(values);
        let count = self.values.len() + 1 - from;
        if count > 0 {
            let list = placeholders(from, count);
            self.sql
                .push_str(&format!(" UNION ALL {select} ({list}){end}"));
        }
    }

    async fn ask(self, tx: &mut Transaction<'_, Any>) -> sqlx::Result<Vec<crate::Row>> {
        let mut query = sqlx::query(AssertSqlSafe(self.sql));
        for value in self.values {
            query = query.bind(value);
        }
        query.fetch_all(&mut **tx).await
    }
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
    /// Reads what the batch depends on, usually in one round trip.
    pub(super) async fn load(
        tx: &mut Transaction<'_, Any>,
        appends: &[&Append],
    ) -> sqlx::Result<Self> {
        let mut plan = Self::default();
        let ids: Vec<String> = appends
            .iter()
            .flat_map(|a| a.events.iter().map(|e| e.id.to_string()))
            .collect();
        let mut chunks = ids.chunks(ROWS);
        let question = Question::of(appends, chunks.next().unwrap_or_default());
        for row in question.ask(tx).await? {
            plan.learn(&row)?;
        }
        for chunk in chunks {
            let question = Question::of(&[], chunk);
            for row in question.ask(tx).await? {
                plan.learn(&row)?;
            }
        }
        Ok(plan)
    }

    fn learn(&mut self, row: &crate::Row) -> sqlx::Result<()> {
        let (about, first, second): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        match about.as_str() {
            HEAD => self.position = row.try_get(3)?,
            VERSION => drop(self.versions.insert(first, row.try_get(3)?)),
            EVENT => drop(
                self.known_ids
                    .insert(first.parse().unwrap_or_default(), second),
            ),
            _ => drop(
                self.handled
                    .insert((first, second.parse().unwrap_or_default())),
            ),
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
            let rows: Vec<String> = (0..chunk.len())
                .map(|row| format!("({})", placeholders(row * 3 + 1, 3)))
                .collect();
            let statement = format!(
                "INSERT INTO inbox (consumer, message_id, handled_at) VALUES {}",
                rows.join(", ")
            );
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
