//! The table `identity_providers`: identity providers whose gateways have something to follow.

use async_trait::async_trait;
use jiff::Timestamp;
use portico_eventstore::sqlx::{self, AnyConnection, Row as _};
use portico_eventstore::worker::Queue;
use portico_eventstore::{Aggregate as _, Projection, ProjectionError, RecordedEvent};

use crate::known::KnownProvider;

pub(crate) struct Providers;

/// What the worker has to tell gateways.
pub(crate) const QUEUE: Queue = Queue {
    table: "identity_providers",
    id: "id",
};

#[async_trait]
impl Projection for Providers {
    fn tables(&self) -> &'static [&'static str] {
        &["identity_providers"]
    }

    async fn apply(
        &self,
        tx: &mut AnyConnection,
        event: &RecordedEvent,
    ) -> Result<(), ProjectionError> {
        let Some(change) = event.decode::<KnownProvider>()? else {
            return Ok(());
        };
        let id = event.stream_id().to_string();
        let row = sqlx::query("SELECT state FROM identity_providers WHERE id = $1")
            .bind(id.clone())
            .fetch_optional(&mut *tx)
            .await?;
        let mut provider: KnownProvider = match row {
            Some(row) => serde_json::from_str(&row.try_get::<String, _>(0)?)?,
            None => KnownProvider::default(),
        };
        provider.evolve(&change);
        sqlx::query(
            "INSERT INTO identity_providers (id, due_at_ms, state, updated_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (id) DO UPDATE SET due_at_ms = excluded.due_at_ms, state = excluded.state, \
             updated_at = excluded.updated_at",
        )
        .bind(id)
        .bind(provider.due().map(Timestamp::as_millisecond))
        .bind(serde_json::to_string(&provider)?)
        .bind(event.recorded_at.to_string())
        .execute(tx)
        .await?;
        Ok(())
    }
}
