//! Views: tables that follow the log, written in the transaction of the append.

use std::collections::{HashMap, hash_map::Entry};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use uuid::Uuid;

use super::{
    Loaded, Table, Tx,
    memory::{State, States},
    rows,
};
use crate::{Aggregate, RecordedEvent, StoreError};

/// A row of a query, on either database.
pub type Row = sqlx::any::AnyRow;

/// Keeps tables in step with the log. Reading its own tables is allowed, other state is not: a rebuild must give
/// the same rows.
#[async_trait]
pub trait Projection: Send + Sync + 'static {
    /// The tables it owns; emptied before a rebuild.
    fn tables(&self) -> &'static [&'static str];
    /// Applies the events of one append, or of a page of the log in a rebuild. Where they are divided changes nothing in the
    /// rows. Events of other aggregates are ignored.
    async fn apply(&self, tx: &mut Tx, change: &Change<'_>) -> Result<(), ProjectionError>;
}

/// What follows in the log: the events of one append, which are of one stream, or in a rebuild a page of the log.
pub struct Change<'a> {
    /// In order; one at least.
    pub events: &'a [RecordedEvent],
    states: Option<&'a States>,
    is_rebuild: bool,
}

/// A stream's part of a change.
pub struct StreamChange<'a, A: Aggregate> {
    /// Id of the aggregate.
    pub id: Uuid,
    /// In order; one at least.
    pub events: Vec<(&'a RecordedEvent, A::Event)>,
    /// The first of the events.
    pub first: &'a RecordedEvent,
    /// The last of the events.
    pub last: &'a RecordedEvent,
    /// Id and time of the event before them, where the command knew it.
    pub previous: Option<(Uuid, Timestamp)>,
    /// The aggregate before the events.
    pub before: A,
    /// The aggregate after the events.
    pub after: A,
}

impl<A: Aggregate> StreamChange<'_, A> {
    /// Whether the stream begins with it.
    pub fn is_new(&self) -> bool {
        self.first.version == 1
    }
}

impl<'a> Change<'a> {
    pub(crate) fn of(events: &'a [RecordedEvent], states: Option<&'a States>) -> Self {
        let is_rebuild = false;
        Self {
            events,
            states,
            is_rebuild,
        }
    }

    /// A page of the log.
    pub(crate) fn page(events: &'a [RecordedEvent]) -> Self {
        Self {
            events,
            states: None,
            is_rebuild: true,
        }
    }

    /// Whether rules over several streams are to be asked: not in a rebuild, where the log has passed them, and other
    /// views may be a page ahead or behind.
    pub fn asks_rules(&self) -> bool {
        !self.is_rebuild
    }

    /// The events of an aggregate, decoded.
    ///
    /// # Errors
    /// An event cannot be read.
    pub fn decoded<A: Aggregate>(&self) -> Result<Vec<(&'a RecordedEvent, A::Event)>, StoreError> {
        let events = self.events.iter().filter_map(|event| {
            let decoded = event.decode::<A>().transpose()?;
            Some(decoded.map(|decoded| (event, decoded)))
        });
        events.collect()
    }

    /// The events of an aggregate by stream, in the order in which the streams appear, with the states. Those before are
    /// known by the command, or are in the column `state` of a table; no query where every stream begins here.
    ///
    /// # Errors
    /// An event or a state cannot be read.
    pub async fn streams<A: Aggregate + DeserializeOwned>(
        &self,
        tx: &mut Tx,
        table: &Table,
    ) -> Result<Vec<StreamChange<'a, A>>, ProjectionError> {
        let state = |row: &Row| rows::json(row.try_get(1)?);
        self.streams_from(tx, table, "state", state).await
    }

    /// As [`streams`](Self::streams), where the states are read from other columns, which follow the id in the row.
    ///
    /// # Errors
    /// An event or a row cannot be read.
    pub async fn streams_from<A: Aggregate>(
        &self,
        tx: &mut Tx,
        table: &Table,
        columns: &str,
        state: fn(&Row) -> sqlx::Result<A>,
    ) -> Result<Vec<StreamChange<'a, A>>, ProjectionError> {
        let mut streams = self.by_stream::<A>()?;
        if let (Some((before, after)), [stream]) = (self.states::<A>(), &mut streams[..]) {
            (stream.before, stream.after) = (before.state.clone(), after.state.clone());
            stream.previous = before.last.as_ref().map(|last| (last.id, last.recorded_at));
            return Ok(streams);
        }
        let known = streams.iter().filter(|stream| !stream.is_new());
        let known = known.map(|stream| stream.id);
        let columns = format!("{}, {columns}", table.id());
        let mut states = HashMap::new();
        for row in table.read(tx, &columns, known).await? {
            states.insert(rows::id(&row)?, state(&row)?);
        }
        for stream in &mut streams {
            stream.before = states.remove(&stream.id).unwrap_or_default();
            stream.after = stream.before.clone();
            for (_, event) in &stream.events {
                stream.after.evolve(event);
            }
        }
        Ok(streams)
    }

    /// Without the states.
    fn by_stream<A: Aggregate>(&self) -> Result<Vec<StreamChange<'a, A>>, StoreError> {
        let mut streams: Vec<StreamChange<'a, A>> = Vec::new();
        let mut places = HashMap::new();
        for (event, decoded) in self.decoded::<A>()? {
            match places.entry(event.stream.as_str()) {
                Entry::Vacant(vacant) => {
                    vacant.insert(streams.len());
                    streams.push(StreamChange {
                        id: event.stream_id(),
                        events: vec![(event, decoded)],
                        first: event,
                        last: event,
                        previous: None,
                        before: A::default(),
                        after: A::default(),
                    });
                }
                Entry::Occupied(place) => {
                    let stream = &mut streams[*place.get()];
                    stream.events.push((event, decoded));
                    stream.last = event;
                }
            }
        }
        Ok(streams)
    }

    /// The aggregate before and after the events of an append; `None` where the stream is another aggregate's.
    fn states<A: Aggregate>(&self) -> Option<(&'a Loaded<A>, &'a Loaded<A>)> {
        let states = self.states?;
        let state = |state: &'a State| state.downcast_ref::<Loaded<A>>();
        Some((state(&states.before)?, state(&states.after)?))
    }

    /// Of the first event.
    pub(crate) fn position(&self) -> i64 {
        self.events.first().map_or(0, |event| event.position)
    }
}

/// Why a view could not apply an event; the append is not committed then.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// A rule over several streams forbids the event, for example that a name is unique. Becomes
    /// [`StoreError::Refused`] with the same words, for the service to recognise. An event in the log has passed
    /// the rule, so a rebuild never meets it.
    #[error("{0}")]
    Refused(&'static str),
    /// The database refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The event could not be read.
    #[error(transparent)]
    Codec(#[from] StoreError),
    /// A value could not be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}
