//! An aggregate and a view to try the store with.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use portico_eventstore::{
    Aggregate, Append, Change, EventStore, NewEvent, Projection, ProjectionError, RecordedEvent,
    Stream, Table, Tx, cells,
    sqlx::{self, Row as _},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Adds of these are what the view cannot take.
pub(crate) const REFUSED: i64 = -1;
pub(crate) const BROKEN: i64 = -2;
pub(crate) const PANICS: i64 = -3;
/// The view's rule against [`REFUSED`].
pub(crate) const RULE: &str = "not this number";

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counter {
    pub(crate) total: i64,
    pub(crate) closed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Quiet for nothing.
    Add(i64),
    /// Several events.
    AddEach(Vec<i64>),
    /// Quiet for the second time.
    Close,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum Event {
    Added { by: i64 },
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the counter is closed")]
pub(crate) struct Closed;

impl Aggregate for Counter {
    const CATEGORY: &'static str = "counter";
    type Command = Command;
    type Event = Event;
    type Rejection = Closed;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Closed> {
        match command {
            Command::Close if self.closed => Ok(Vec::new()),
            Command::Close => Ok(vec![Event::Closed]),
            _ if self.closed => Err(Closed),
            Command::Add(0) => Ok(Vec::new()),
            Command::Add(by) => Ok(vec![Event::Added { by: *by }]),
            Command::AddEach(all) => Ok(all.iter().map(|by| Event::Added { by: *by }).collect()),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Added { by } => self.total += by,
            Event::Closed => self.closed = true,
        }
    }
}

/// Keeps `totals`.
pub(crate) struct Totals;

#[async_trait]
impl Projection for Totals {
    fn tables(&self) -> &'static [&'static str] {
        &["totals"]
    }

    async fn apply(&self, tx: &mut Tx, change: &Change<'_>) -> Result<(), ProjectionError> {
        for event in change.events {
            one(tx, event).await?;
        }
        Ok(())
    }
}

async fn one(tx: &mut Tx, event: &RecordedEvent) -> Result<(), ProjectionError> {
    let (by, closed) = match event.decode::<Counter>()? {
        Some(Event::Added { by: REFUSED }) => return Err(ProjectionError::Refused(RULE)),
        Some(Event::Added { by: BROKEN }) => {
            return Ok(tx
                .execute("INSERT INTO nowhere VALUES (1)", Vec::new())
                .await?);
        }
        Some(Event::Added { by: PANICS }) => panic!("a view that panics"),
        Some(Event::Added { by }) => (by, 0_i64),
        Some(Event::Closed) => (0, 1),
        None => return Ok(()),
    };
    let sql = "INSERT INTO totals (id, total, closed) VALUES ($1, $2, $3) \
               ON CONFLICT (id) DO UPDATE SET total = totals.total + excluded.total, \
               closed = totals.closed + excluded.closed";
    Ok(tx
        .execute(sql, cells![event.stream_id(), by, closed])
        .await?)
}

/// The table `totals`, for whoever writes many rows.
pub(crate) const TOTALS: Table = Table {
    name: "totals",
    key: "id",
    columns: "id total closed",
    once: "closed",
};

/// Keeps `folded`: the states, from which positions the streams are and how far.
pub(crate) struct Folded;

const FOLDED: Table = Table {
    name: "folded",
    key: "id",
    columns: "id state began version",
    once: "began",
};

#[async_trait]
impl Projection for Folded {
    fn tables(&self) -> &'static [&'static str] {
        &["folded"]
    }

    async fn apply(&self, tx: &mut Tx, change: &Change<'_>) -> Result<(), ProjectionError> {
        let mut rows = Vec::new();
        for counter in change.streams::<Counter>(tx, &FOLDED).await? {
            let mut after = counter.before.clone();
            let events = counter.events.iter();
            events.for_each(|(_, event)| after.evolve(event));
            assert_eq!(after, counter.after);
            rows.push(cells![
                counter.id,
                serde_json::to_string(&after)?,
                counter.first.position,
                counter.last.version,
            ]);
        }
        FOLDED.write(tx, rows).await?;
        Ok(())
    }
}

/// Rows of `folded`, in order.
pub(crate) async fn folded(store: &EventStore) -> Vec<(String, String, i64, i64)> {
    let rows = sqlx::query("SELECT id, state, began, version FROM folded ORDER BY id")
        .fetch_all(store.database().pool())
        .await
        .unwrap();
    let row = |row: &portico_eventstore::Row| (row.get(0), row.get(1), row.get(2), row.get(3));
    rows.iter().map(row).collect()
}

/// Rows of `totals`, in order.
pub(crate) async fn totals(store: &EventStore) -> Vec<(Uuid, i64, i64)> {
    let rows = sqlx::query("SELECT id, total, closed FROM totals ORDER BY id")
        .fetch_all(store.database().pool())
        .await
        .unwrap();
    rows.iter()
        .map(|row| {
            let id: String = row.get(0);
            (id.parse().unwrap(), row.get(1), row.get(2))
        })
        .collect()
}

/// One row of `totals`.
pub(crate) async fn total(store: &EventStore, id: Uuid) -> Option<i64> {
    let rows = totals(store).await;
    rows.iter().find(|row| row.0 == id).map(|row| row.1)
}

/// An id that no other test of this process has.
pub(crate) fn new_id() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u128(NEXT.fetch_add(1, Ordering::Relaxed).into())
}

pub(crate) fn stream(id: Uuid) -> Stream {
    Stream::of::<Counter>(id)
}

pub(crate) fn added(event_id: Uuid, by: i64) -> NewEvent {
    NewEvent::encode::<Counter>(
        event_id,
        &Event::Added { by },
        portico_eventstore::Metadata::default(),
    )
    .unwrap()
}

/// An append of new events.
pub(crate) fn append(id: Uuid, expected_version: i64, bys: &[i64]) -> Append {
    Append {
        stream: stream(id),
        expected_version,
        events: bys.iter().map(|by| added(new_id(), *by)).collect(),
        inbox: None,
        now: jiff::Timestamp::UNIX_EPOCH,
    }
}
