//! By when the log had been published how far, to whatever bus there was.
//!
//! A message that is published again says so, and consumers can tell from it that they have handled it, where they
//! have forgotten.

use jiff::{SignedDuration, Timestamp};
use sqlx::Row as _;

use crate::{EventStore, Result};

/// Least time between two rows. What was published is known to be so by the next one.
pub(crate) const STEP: SignedDuration = SignedDuration::from_hours(24);
/// Rows that are kept. What the oldest of them tells of earlier events is true, if late.
const ROWS: i64 = 3650;

/// Position and time of each row, in order.
pub(super) struct Published(Vec<(i64, Timestamp)>);

impl Published {
    pub(super) async fn load(store: &EventStore) -> Result<Self> {
        let rows = sqlx::query("SELECT position, at_ms FROM published ORDER BY position")
            .fetch_all(store.database().pool())
            .await?;
        let row = |row: &crate::Row| {
            let at = Timestamp::from_millisecond(row.try_get(1)?);
            Ok((row.try_get(0)?, at.unwrap_or(Timestamp::MAX)))
        };
        Ok(Self(rows.iter().map(row).collect::<sqlx::Result<_>>()?))
    }

    /// By when an event was published; `None`: perhaps it was not.
    pub(super) fn by(&self, position: i64) -> Option<Timestamp> {
        let next = self.0.partition_point(|(until, _)| *until < position);
        self.0.get(next).map(|(_, at)| *at)
    }

    /// Notes that the log is published up to a position, if that is news and the last row is old enough.
    pub(super) async fn note(
        &mut self,
        store: &EventStore,
        position: i64,
        now: Timestamp,
    ) -> Result<()> {
        let (until, at) = self.0.last().copied().unwrap_or((0, Timestamp::MIN));
        if position <= until || now.duration_since(at) < STEP {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO published (position, at_ms) VALUES ($1, $2) ON CONFLICT (position) DO NOTHING",
        )
        .bind(position)
        .bind(now.as_millisecond())
        .execute(store.database().pool())
        .await?;
        sqlx::query(
            "DELETE FROM published WHERE position NOT IN \
             (SELECT position FROM published ORDER BY position DESC LIMIT $1)",
        )
        .bind(ROWS)
        .execute(store.database().pool())
        .await?;
        self.0.push((position, now));
        Ok(())
    }
}
