//! The database's clock, which counts for leases, beside that of this process.

use jiff::{SignedDuration, Timestamp};

use super::{Database, Dialect};
use crate::clock::{Clock, median, offset};

/// Round trips to the database for one measurement.
const ROUND_TRIPS: usize = 5;

const NOW: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

impl Database {
    /// How far a clock is ahead of the database's, negative where it is behind: the median of some round trips. A
    /// SQLite file has no clock of its own, so there it is zero.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn clock_offset(&self, clock: &Clock) -> sqlx::Result<SignedDuration> {
        if self.dialect == Dialect::Sqlite {
            return Ok(SignedDuration::ZERO);
        }
        // One connection for all, so that nothing waits for another one in between.
        let mut connection = self.pool.acquire().await?;
        let mut offsets = Vec::with_capacity(ROUND_TRIPS);
        for _ in 0..ROUND_TRIPS {
            let before = clock.now();
            let there: i64 = sqlx::query_scalar(NOW).fetch_one(&mut *connection).await?;
            if let Ok(there) = Timestamp::from_millisecond(there) {
                offsets.push(offset(before, clock.now(), there));
            }
        }
        Ok(median(offsets).unwrap_or_default())
    }
}
