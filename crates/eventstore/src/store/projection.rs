//! Views: tables that follow the log, written in the transaction of the append.

use async_trait::async_trait;
use sqlx::AnyConnection;

use crate::{RecordedEvent, StoreError};

/// A row of a query, on either database.
pub type Row = sqlx::any::AnyRow;

/// Keeps tables in step with the log. Reading its own tables is allowed, other state is not: a rebuild must give
/// the same rows.
#[async_trait]
pub trait Projection: Send + Sync + 'static {
    /// The tables it owns; emptied before a rebuild.
    fn tables(&self) -> &'static [&'static str];
    /// Applies one event. Events of other aggregates are ignored.
    async fn apply(
        &self,
        tx: &mut AnyConnection,
        event: &RecordedEvent,
    ) -> Result<(), ProjectionError>;
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
