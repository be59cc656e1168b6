//! An aggregate, a view and stores for the benchmarks of the event store.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use portico_eventstore::{
    Aggregate, Append, Change, Database, EventStore, Metadata, NewEvent, Projection,
    ProjectionError, Stream, Table, Tx, cells,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Makes an event as large as one of an access request.
pub(crate) const TEXT: &str =
    "Backend of the checkout, asks for payments on the free plan, about two thousand calls a day.";

/// An aggregate without rules, so that only the store is measured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Note;

/// The event of a note.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum Event {
    /// Has the fields of a typical event.
    Written {
        /// Always [`TEXT`].
        text: String,
        /// An id, as most events carry one.
        subject: Uuid,
    },
}

impl Aggregate for Note {
    const CATEGORY: &'static str = "note";
    type Command = ();
    type Event = Event;
    type Rejection = std::convert::Infallible;

    fn decide(&self, _: &()) -> Result<Vec<Event>, Self::Rejection> {
        Ok(Vec::new())
    }

    fn evolve(&mut self, _: &Event) {}
}

/// Projection with a row for each stream.
pub(crate) struct Notes;

/// The projection's table, in the store's database.
pub(crate) const TABLE: &str = "CREATE TABLE notes (id TEXT NOT NULL PRIMARY KEY, text TEXT NOT NULL, \
                                written BIGINT NOT NULL, updated_at TEXT NOT NULL)";

#[async_trait]
impl Projection for Notes {
    fn tables(&self) -> &'static [&'static str] {
        &["notes"]
    }

    async fn apply(&self, tx: &mut Tx, change: &Change<'_>) -> Result<(), ProjectionError> {
        const NOTES: Table = Table {
            name: "notes",
            key: "id",
            columns: "id text written updated_at",
            once: "",
        };
        let mut rows = BTreeMap::new();
        for (at, Event::Written { text, .. }) in change.decoded::<Note>()? {
            // An event of a note is as much as the version of its stream.
            let row = cells![at.stream_id(), text, at.version, at.recorded_at.to_string()];
            rows.insert(at.stream_id(), row);
        }
        NOTES.write(tx, rows.into_values()).await?;
        Ok(())
    }
}

/// Starts a store, with or without the view.
pub(crate) async fn store(database: Database, view: bool) -> Result<EventStore, String> {
    let mut projections: Vec<Arc<dyn Projection>> = Vec::new();
    if view {
        sqlx::query(TABLE)
            .execute(database.pool())
            .await
            .map_err(message)?;
        projections.push(Arc::new(Notes));
    }
    EventStore::start(database, projections)
        .await
        .map_err(message)
}

/// An append of that many events to a new stream.
pub(crate) fn stream_of(events: usize) -> Result<Append, String> {
    append_to(Stream::of::<Note>(Uuid::now_v7()), 0, events)
}

/// An append of that many events to a stream that has this version.
pub(crate) fn append_to(
    stream: Stream,
    expected_version: i64,
    events: usize,
) -> Result<Append, String> {
    let id = Uuid::now_v7();
    let events = (0..events).map(|_| {
        let event = Event::Written {
            text: TEXT.to_owned(),
            subject: Uuid::now_v7(),
        };
        let metadata = Metadata {
            actor: id.to_string(),
            correlation: Some(id),
            ..Metadata::default()
        };
        NewEvent::encode::<Note>(Uuid::now_v7(), &event, metadata).map_err(message)
    });
    Ok(Append {
        stream,
        expected_version,
        events: events.collect::<Result<_, _>>()?,
        inbox: None,
        now: Timestamp::now(),
    })
}

/// Appends that many events, a hundred to a stream, and prints the progress.
pub(crate) async fn fill(store: &EventStore, events: i64) -> Result<(), String> {
    const STREAM: usize = 100;
    let mut done = 0;
    while done < events {
        let appends =
            (0..64).map(|_| async { store.append(stream_of(STREAM)?).await.map_err(message) });
        futures::future::try_join_all(appends).await?;
        done += 64 * STREAM as i64;
        if done % 64_000 == 0 {
            eprintln!("         {done} events written");
        }
    }
    Ok(())
}

/// An error as text for the terminal.
pub(crate) fn message(error: impl std::fmt::Display) -> String {
    error.to_string()
}
