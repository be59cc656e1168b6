//! The table `identity_providers`: identity providers whose gateways have something to follow.

use async_trait::async_trait;
use jiff::Timestamp;
use portico_eventstore::sqlx::{self, AnyConnection, AnyPool, Row as _};
use portico_eventstore::worker::Due;
use portico_eventstore::{Aggregate as _, Projection, ProjectionError, RecordedEvent};

use crate::known::KnownProvider;

pub(crate) struct Providers;

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
            "INSERT INTO identity_providers (id, due_at_ms, state) VALUES ($1, $2, $3) \
             ON CONFLICT (id) DO UPDATE SET due_at_ms = excluded.due_at_ms, state = excluded.state",
        )
        .bind(id)
        .bind(provider.due().map(Timestamp::as_millisecond))
        .bind(serde_json::to_string(&provider)?)
        .execute(tx)
        .await?;
        Ok(())
    }
}

/// Those with something to do, at most so many.
pub(crate) async fn due(pool: &AnyPool, now: Timestamp, limit: i64) -> Result<Due, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, due_at_ms FROM identity_providers WHERE due_at_ms IS NOT NULL ORDER BY due_at_ms, id LIMIT $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await?;
    super::due(&rows, now)
}
