//! How far the log has been published to one incarnation of the bus.

use jiff::Timestamp;
use sqlx::Row as _;

use super::NAME;
use crate::{EventStore, Result, fault};

/// A row of `checkpoints`: `relay`, or `relay:<incarnation>` where the bus has one.
pub(super) struct Checkpoint {
    name: String,
    position: i64,
}

impl Checkpoint {
    /// 0 where this incarnation was never published to. Those of former incarnations are deleted.
    pub(super) async fn load(store: &EventStore, incarnation: Option<&str>) -> Result<Self> {
        let pool = store.database().pool();
        // What was published when, also to a bus that has lost it since: whoever goes on after a long pause would say later.
        sqlx::query(
            "INSERT INTO published (position, at_ms) SELECT position, at_ms FROM checkpoints \
             WHERE (name = $1 OR name LIKE $2) AND at_ms > 0 \
             AND position > (SELECT COALESCE(MAX(position), 0) FROM published) \
             ORDER BY position DESC LIMIT 1 ON CONFLICT (position) DO NOTHING",
        )
        .bind(NAME)
        .bind(format!("{NAME}:%"))
        .execute(pool)
        .await?;
        let name = match incarnation {
            None => NAME.to_owned(),
            Some(incarnation) => {
                let name = format!("{NAME}:{incarnation}");
                sqlx::query("DELETE FROM checkpoints WHERE name LIKE $1 AND name <> $2")
                    .bind(format!("{NAME}:%"))
                    .bind(name.clone())
                    .execute(pool)
                    .await?;
                name
            }
        };
        let row = sqlx::query("SELECT position FROM checkpoints WHERE name = $1")
            .bind(name.clone())
            .fetch_optional(pool)
            .await?;
        let position = row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0);
        Ok(Self { name, position })
    }

    pub(super) fn position(&self) -> i64 {
        self.position
    }

    /// Moves it forward; a position that it has reached already writes nothing.
    pub(super) async fn advance(
        &mut self,
        store: &EventStore,
        position: i64,
        now: Timestamp,
    ) -> Result<()> {
        if position <= self.position {
            return Ok(());
        }
        fault::point("checkpointing");
        sqlx::query(
            "INSERT INTO checkpoints (name, position, at_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET position = excluded.position, at_ms = excluded.at_ms \
             WHERE checkpoints.position < excluded.position",
        )
        .bind(self.name.clone())
        .bind(position)
        .bind(now.as_millisecond())
        .execute(store.database().pool())
        .await?;
        fault::point("checkpointed");
        self.position = position;
        Ok(())
    }
}
