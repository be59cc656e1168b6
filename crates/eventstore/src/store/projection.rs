//! Views: tables that follow the log, written in the transaction of the append.

use async_trait::async_trait;
use sqlx::AnyConnection;

use super::{
    Loaded,
    memory::{State, States},
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
    /// Applies the events of one append: one after the other, unless a view can do it at once.
    async fn apply_all(
        &self,
        tx: &mut AnyConnection,
        change: &Change<'_>,
    ) -> Result<(), ProjectionError> {
        for event in change.events {
            self.apply(tx, event).await?;
        }
        Ok(())
    }

    /// Applies one event. Events of other aggregates are ignored.
    async fn apply(
        &self,
        tx: &mut AnyConnection,
        event: &RecordedEvent,
    ) -> Result<(), ProjectionError>;
}

/// What an append changes in one stream.
pub struct Change<'a> {
    /// In order; one at least.
    pub events: &'a [RecordedEvent],
    states: Option<&'a States>,
}

impl<'a> Change<'a> {
    pub(crate) fn of(events: &'a [RecordedEvent], states: Option<&'a States>) -> Self {
        Self { events, states }
    }

    /// The aggregate before and after the events. `None` in a rebuild, and where the stream is another aggregate's.
    pub fn states<A: Aggregate>(&self) -> Option<(&'a A, &'a A)> {
        let states = self.states?;
        let state = |state: &'a State| Some(&state.downcast_ref::<Loaded<A>>()?.state);
        Some((state(&states.before)?, state(&states.after)?))
    }

    /// The events, decoded; none where the stream is another aggregate's.
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
