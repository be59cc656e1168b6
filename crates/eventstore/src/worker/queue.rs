//! The queue of a worker: a table of a view that says when each stream is due.

use jiff::Timestamp;
use sqlx::{AnyPool, AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::{Due, Jobs};
use crate::{Aggregate, clock::ClockReading, rows};

/// The most streams of which a clock that was ahead wrote something that are looked at at once.
const AHEAD: i64 = 100;

/// A table with the columns `due_at_ms`, null where nothing is to be done, and `updated_at`.
pub struct Queue {
    /// Its name.
    pub table: &'static str,
    /// The column with the stream's id.
    pub id: &'static str,
}

impl<A: Aggregate> Jobs<A> {
    /// What is due in a queue, at most so many streams of it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn due(&self, queue: &Queue, now: Timestamp, limit: i64) -> sqlx::Result<Due> {
        let pool = self.store().database().pool();
        let mut due = queue.due(pool, now, limit).await?;
        let usual = ClockReading::latest_pause(now, self.longest_pause);
        due.now.extend(queue.written_ahead(pool, now, usual).await?);
        Ok(due)
    }
}

impl Queue {
    async fn due(&self, pool: &AnyPool, now: Timestamp, limit: i64) -> sqlx::Result<Due> {
        let Self { table, id } = self;
        let statement = format!(
            "SELECT {id}, due_at_ms FROM {table} WHERE due_at_ms IS NOT NULL ORDER BY due_at_ms, updated_at, {id} \
             LIMIT $1"
        );
        let statement = sqlx::query(AssertSqlSafe(statement)).bind(limit);
        let mut due = Due::default();
        for row in &statement.fetch_all(pool).await? {
            let at: i64 = row.try_get(1)?;
            if at > now.as_millisecond() {
                due.next = Timestamp::from_millisecond(at).ok();
                break;
            }
            due.now.push(rows::id(row)?);
        }
        Ok(due)
    }

    /// Streams that wait longer than usual, and that were last written by a clock that was ahead of the present one:
    /// their pauses were reckoned by that clock, and would last until the present one shows the same time.
    async fn written_ahead(
        &self,
        pool: &AnyPool,
        now: Timestamp,
        usual: Timestamp,
    ) -> sqlx::Result<Vec<Uuid>> {
        let Self { table, id } = self;
        let statement = format!(
            "SELECT {id} FROM {table} WHERE due_at_ms > $1 AND updated_at > $2 ORDER BY due_at_ms LIMIT {AHEAD}"
        );
        let found = sqlx::query(AssertSqlSafe(statement))
            .bind(usual.as_millisecond())
            .bind(ClockReading::latest(now).to_string())
            .fetch_all(pool)
            .await?;
        rows::ids(&found)
    }
}
