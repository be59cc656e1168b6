//! The queue of a worker: a table of a view that says when each stream is due.

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row as _};

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
    /// Streams that wait longer than usual, and that were last written by a clock that was ahead of the present one, are
    /// due too: their pauses were reckoned by that clock, and would last until the present one shows the same time.
    ///
    /// # Errors
    /// The database failed.
    pub async fn due(&self, queue: &Queue, now: Timestamp, limit: i64) -> sqlx::Result<Due> {
        let Queue { table, id } = queue;
        let statement = format!(
            "SELECT * FROM (SELECT {id} AS id, due_at_ms, 0 AS ahead, updated_at FROM {table} \
             WHERE due_at_ms IS NOT NULL ORDER BY due_at_ms, updated_at, {id} LIMIT $1) AS due \
             UNION ALL SELECT * FROM (SELECT {id} AS id, due_at_ms, 1 AS ahead, updated_at FROM {table} \
             WHERE due_at_ms > $2 AND updated_at > $3 ORDER BY due_at_ms LIMIT {AHEAD}) AS ahead \
             ORDER BY ahead, due_at_ms, updated_at, id"
        );
        let usual = ClockReading::latest_pause(now, self.longest_pause);
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(limit)
            .bind(usual.as_millisecond())
            .bind(ClockReading::latest(now).to_string())
            .fetch_all(self.store().database().pool())
            .await?;
        let mut due = Due::default();
        for row in &rows {
            let (at, ahead): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
            if at <= now.as_millisecond() || ahead != 0 {
                due.now.push(rows::id(row)?);
            } else if due.next.is_none() {
                due.next = Timestamp::from_millisecond(at).ok();
            }
        }
        Ok(due)
    }
}
