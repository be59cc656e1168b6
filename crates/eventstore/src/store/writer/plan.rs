//! Writes a batch of appends, and says of each that could not be written why.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use sqlx::{AnyConnection, Row as _};
use uuid::Uuid;

use super::{Append, Appended, InboxEntry, NewEvent};
use crate::{RecordedEvent, Result, StoreError, Stream, database::Dialect, rows};

/// Inserts the events of appends whose stream has the version that they expect, and of which nothing is known yet. Its
/// text never changes, so it is parsed once, and each key is looked up in its index; of a list of keys PostgreSQL thinks
/// that it is worth to read the whole log. The events are JSON, arrays in an array, which both databases read alike. The
/// first event of an append decides for all of them: a command that is repeated may find other things to say.
macro_rules! insert {
    ($events:literal, $returning:literal) => {
        concat!(
            "INSERT INTO events (position, id, stream, version, type, schema_version, data, metadata, recorded_at) \
             SELECT (SELECT COALESCE(MAX(position), 0) FROM events) \
             + ROW_NUMBER() OVER (ORDER BY CAST(k.value ->> 0 AS BIGINT)), k.value ->> 1, k.value ->> 2, \
             CAST(k.value ->> 3 AS BIGINT), k.value ->> 4, CAST(k.value ->> 5 AS BIGINT), k.value ->> 6, \
             k.value ->> 7, k.value ->> 8 FROM ",
            $events,
            " WHERE COALESCE((SELECT MAX(version) FROM events WHERE stream = (k.value ->> 2)), 0) \
             = CAST(k.value ->> 9 AS BIGINT) \
             AND (SELECT 1 FROM events WHERE id = (k.value ->> 1)) IS NULL \
             AND (SELECT 1 FROM events WHERE id = (k.value ->> 12)) IS NULL \
             AND (SELECT 1 FROM inbox WHERE consumer = (k.value ->> 10) AND message_id = (k.value ->> 11)) IS NULL",
            $returning
        )
    };
}

/// Where positions need not be told.
pub(super) const INSERT_SQLITE: &str = insert!("json_each($1) AS k", "");

fn insert(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => insert!("json_each($1) AS k", " RETURNING id, position"),
        Dialect::Postgres => insert!(
            "jsonb_array_elements(CAST($1 AS jsonb)) AS k (value)",
            " RETURNING id, position"
        ),
    }
}

/// A row of [`insert`]; the first is its place.
#[derive(Serialize)]
pub(super) struct Given<'a>(
    usize,
    Uuid,
    &'a Stream,
    i64,
    &'a str,
    i64,
    &'a str,
    String,
    String,
    i64,
    Option<&'a str>,
    Option<Uuid>,
    Option<Uuid>,
);

/// A batch that is being written.
pub(super) struct Plan<'t> {
    tx: &'t mut AnyConnection,
    dialect: Dialect,
}

impl<'t> Plan<'t> {
    pub(super) fn new(tx: &'t mut AnyConnection, dialect: Dialect) -> Self {
        Self { tx, dialect }
    }

    /// Writes what can be written, in the order given.
    ///
    /// # Errors
    /// The database, or two appends with an event id in common: then nothing of the batch may be committed.
    pub(super) async fn write(&mut self, appends: &[&Append]) -> Result<Vec<Result<Appended>>> {
        let mut results: Vec<_> = appends.iter().map(|append| twice(append)).collect();
        let mut open: Vec<usize> = (0..appends.len()).collect();
        open.retain(|one| results[*one].is_none());
        while !open.is_empty() {
            // One of each stream: the next one is about the version after it.
            let mut streams = HashSet::new();
            let (now, later): (Vec<usize>, _) = open
                .into_iter()
                .partition(|one| streams.insert(appends[*one].stream.as_str()));
            let round: Vec<&Append> = now.iter().map(|one| appends[*one]).collect();
            let positions = self.insert(&round).await?;
            for one in now {
                let events = recorded(appends[one], |event| positions.get(&event.id).copied());
                results[one] = Some(match events.len() {
                    0 => self.not_written(appends[one]).await?,
                    all if all == appends[one].events.len() => Ok(Appended::New(events)),
                    // Some are known, the others are in the log now.
                    _ => return Err(StoreError::EventIdReused(appends[one].stream.clone())),
                });
            }
            open = later;
        }
        Ok(results.into_iter().flatten().collect())
    }

    /// Positions of the events that were inserted.
    async fn insert(&mut self, appends: &[&Append]) -> Result<HashMap<Uuid, i64>> {
        let given = given(appends)?;
        if given.is_empty() {
            return Ok(HashMap::new());
        }
        let inserted = sqlx::query(insert(self.dialect))
            .bind(json(&given)?)
            .fetch_all(&mut *self.tx)
            .await?;
        let place = |row: &crate::Row| Ok((rows::id(row)?, row.try_get(1)?));
        Ok(inserted.iter().map(place).collect::<sqlx::Result<_>>()?)
    }

    /// Why an append has no events in the log now: there are none to be inserted, or not any more, or not yet.
    async fn not_written(&mut self, append: &Append) -> Result<Result<Appended>> {
        if let Some(entry) = &append.inbox {
            if append.events.is_empty() && self.mark(entry, append).await? {
                return Ok(Ok(Appended::New(Vec::new())));
            }
            if self.is_handled(entry).await? {
                return Ok(Ok(Appended::AlreadyHandled));
            }
        }
        let mut known = Vec::with_capacity(append.events.len());
        for event in &append.events {
            known.extend(self.stream_of(event.id).await?);
        }
        if !known.is_empty() {
            let mut here = known.iter().map(|stream| stream == append.stream.as_str());
            let repeated = known.len() == append.events.len() && here.all(|here| here);
            return Ok(match repeated {
                true => Ok(Appended::Repeated),
                false => Err(StoreError::EventIdReused(append.stream.clone())),
            });
        }
        let version = self.version(&append.stream).await?;
        if version == append.expected_version && append.events.is_empty() {
            return Ok(Ok(Appended::New(Vec::new())));
        }
        Ok(Err(StoreError::Conflict {
            stream: append.stream.clone(),
            expected: append.expected_version,
            actual: version,
        }))
    }

    /// Notes that a message caused nothing, where that was decided on the newest version and was not noted before.
    async fn mark(&mut self, entry: &InboxEntry, append: &Append) -> Result<bool> {
        let marked = sqlx::query(
            "INSERT INTO inbox (consumer, message_id, handled_ms) SELECT $1, $2, $3 \
             WHERE COALESCE((SELECT MAX(version) FROM events WHERE stream = $4), 0) = $5 \
             ON CONFLICT (consumer, message_id) DO NOTHING",
        )
        .bind(entry.consumer.clone())
        .bind(entry.message_id.to_string())
        .bind(append.now.as_millisecond())
        .bind(append.stream.as_str().to_owned())
        .bind(append.expected_version)
        .execute(&mut *self.tx)
        .await?;
        Ok(marked.rows_affected() == 1)
    }

    async fn is_handled(&mut self, entry: &InboxEntry) -> Result<bool> {
        let row = sqlx::query("SELECT 1 FROM inbox WHERE consumer = $1 AND message_id = $2")
            .bind(entry.consumer.clone())
            .bind(entry.message_id.to_string())
            .fetch_optional(&mut *self.tx)
            .await?;
        Ok(row.is_some())
    }

    async fn stream_of(&mut self, event: Uuid) -> Result<Option<String>> {
        let row = sqlx::query("SELECT stream FROM events WHERE id = $1")
            .bind(event.to_string())
            .fetch_optional(&mut *self.tx)
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    async fn version(&mut self, stream: &Stream) -> Result<i64> {
        let row = sqlx::query("SELECT COALESCE(MAX(version), 0) FROM events WHERE stream = $1")
            .bind(stream.as_str().to_owned())
            .fetch_one(&mut *self.tx)
            .await?;
        Ok(row.try_get(0)?)
    }
}

/// What is to be inserted.
pub(super) fn given<'a>(appends: &[&'a Append]) -> Result<Vec<Given<'a>>> {
    let mut given = Vec::with_capacity(appends.len());
    for append in appends {
        let first = append.events.first().map(|event| event.id);
        for (version, event) in (append.expected_version + 1..).zip(&append.events) {
            let entry = append.inbox.as_ref();
            given.push(Given(
                given.len(),
                event.id,
                &append.stream,
                version,
                &event.event_type,
                event.schema_version,
                event.data.as_str(),
                json(&event.metadata)?,
                append.now.to_string(),
                append.expected_version,
                entry.map(|entry| entry.consumer.as_str()),
                entry.map(|entry| entry.message_id),
                first,
            ));
        }
    }
    Ok(given)
}

/// The events of an append that have a position.
pub(super) fn recorded(
    append: &Append,
    mut position: impl FnMut(&NewEvent) -> Option<i64>,
) -> Vec<RecordedEvent> {
    let events = (append.expected_version + 1..).zip(&append.events);
    let record = |(version, event): (i64, &NewEvent)| {
        Some(RecordedEvent {
            position: position(event)?,
            id: event.id,
            stream: append.stream.as_str().to_owned(),
            version,
            event_type: event.event_type.clone(),
            schema_version: event.schema_version,
            data: event.data.clone(),
            metadata: event.metadata.clone(),
            recorded_at: append.now,
        })
    };
    events.filter_map(record).collect()
}

/// An append that has an event id twice.
pub(super) fn twice(append: &Append) -> Option<Result<Appended>> {
    let mut ids = HashSet::new();
    let mut events = append.events.iter();
    let twice = events.any(|event| !ids.insert(event.id));
    twice.then(|| Err(StoreError::EventIdReused(append.stream.clone())))
}

pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(StoreError::codec)
}
