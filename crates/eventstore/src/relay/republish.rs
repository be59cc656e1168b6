//! Republishing on request. The request is a row, so it may come from any process and outlives a crash; the relay that
//! holds the lease does the work. The checkpoint is not touched: new events follow as soon as the old ones are out.

use jiff::Timestamp;
use sqlx::Row as _;
use uuid::Uuid;

use super::NAME;
use crate::{Database, EventStore, Result, Row, rows};

/// How far a service's events have been published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayStatus {
    /// The last event that the bus has acknowledged; 0: none, or none by this incarnation.
    pub position: i64,
    /// The last event.
    pub head: i64,
    /// What is published again now.
    pub republishing: Option<Republishing>,
}

/// A request to publish again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Republishing {
    id: String,
    /// What comes after it is to be published again.
    pub position: i64,
    /// The last event to be published again.
    pub until: i64,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// By whom: an actor.
    pub requested_by: String,
}

/// How far the events of this database have been published.
pub async fn status(database: &Database) -> Result<RelayStatus> {
    // Where a bus has incarnations, a checkpoint without one is from another bus.
    let row = sqlx::query(
        "SELECT COALESCE((SELECT position FROM checkpoints WHERE name = 'relay' OR name LIKE 'relay:%' \
         ORDER BY name DESC LIMIT 1), 0), (SELECT COALESCE(MAX(position), 0) FROM events)",
    )
    .fetch_one(database.pool())
    .await?;
    Ok(RelayStatus {
        position: row.try_get(0)?,
        head: row.try_get(1)?,
        republishing: asked(database).await?,
    })
}

/// Asks for all events after a position to be published again; 0: from the first on. A running relay begins within
/// seconds, another one when it starts. Of two requests the one that begins earlier in the log counts. `id` is new.
pub async fn republish(
    database: &Database,
    from: i64,
    by: &str,
    now: Timestamp,
    id: Uuid,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO republishing (name, id, position, until_position, requested_at, requested_by) \
         SELECT $1, $2, $3, head, $4, $5 FROM (SELECT COALESCE(MAX(position), 0) AS head FROM events) AS log \
         WHERE head > $3 \
         ON CONFLICT (name) DO UPDATE SET id = excluded.id, until_position = excluded.until_position, \
         position = CASE WHEN republishing.position < excluded.position THEN republishing.position \
         ELSE excluded.position END, requested_at = excluded.requested_at, requested_by = excluded.requested_by",
    )
    .bind(NAME)
    .bind(id.to_string())
    .bind(from)
    .bind(now.to_string())
    .bind(by.to_owned())
    .execute(database.pool())
    .await?;
    Ok(())
}

async fn asked(database: &Database) -> Result<Option<Republishing>> {
    let row = sqlx::query(
        "SELECT id, position, until_position, requested_at, requested_by FROM republishing WHERE name = $1",
    )
    .bind(NAME)
    .fetch_optional(database.pool())
    .await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<Republishing> {
    Ok(Republishing {
        id: row.try_get(0)?,
        position: row.try_get(1)?,
        until: row.try_get(2)?,
        requested_at: rows::parsed(row.try_get(3)?)?,
        requested_by: row.try_get(4)?,
    })
}

/// The request as the running relay knows it.
pub(super) struct Request(Option<Republishing>);

impl Request {
    pub(super) async fn load(store: &EventStore) -> Result<Self> {
        asked(store.database()).await.map(Self)
    }

    pub(super) fn begin(&self, checkpoint: i64) -> i64 {
        self.0
            .as_ref()
            .map_or(checkpoint, |again| again.position.min(checkpoint))
    }

    /// The request that an event is published for; `None` where it is new.
    pub(super) fn of(&self, position: i64) -> Option<String> {
        let again = self.0.as_ref()?;
        (position <= again.until).then(|| again.id.clone())
    }

    /// Saves the progress; the last step deletes the request.
    pub(super) async fn advance(&mut self, store: &EventStore, safe: i64) -> Result<()> {
        let Some(again) = self.0.as_mut().filter(|again| safe > again.position) else {
            return Ok(());
        };
        let done = safe >= again.until;
        let statement = if done {
            "DELETE FROM republishing WHERE name = $1 AND id = $2 AND position < $3"
        } else {
            "UPDATE republishing SET position = $3 WHERE name = $1 AND id = $2 AND position < $3"
        };
        sqlx::query(statement)
            .bind(NAME)
            .bind(again.id.clone())
            .bind(safe)
            .execute(store.database().pool())
            .await?;
        again.position = safe;
        if done {
            self.0 = None;
        }
        Ok(())
    }

    /// Whether there is a newer request than the known one.
    pub(super) async fn is_outdated(&self, store: &EventStore) -> Result<bool> {
        let asked = asked(store.database()).await?;
        Ok(asked.is_some_and(|asked| self.0.as_ref().map(|known| &known.id) != Some(&asked.id)))
    }
}
