//! The queue of a worker: how many wait in each state, and for how long the oldest one has.

use jiff::Timestamp;
use sqlx::{AnyPool, Row as _};

use super::gauges::{Gauge, Reading};

/// What is told of a queue. A query for each state, so that each finds its own small index.
pub struct Queue {
    /// How many, by state.
    pub length: Gauge,
    /// For how many seconds the oldest one of a state has been in it; 0 where there is none.
    pub oldest: Gauge,
    /// The word for each state, and its query: `$1` is the time in milliseconds. It gives the number; where the age
    /// of the oldest one is told, since when it is so in milliseconds; and where some have no such time, since when
    /// by the RFC 3339 time of their last change.
    pub states: &'static [(&'static str, &'static str)],
}

impl Queue {
    /// Reads the gauges.
    ///
    /// # Errors
    /// The database failed.
    pub async fn read(&self, pool: &AnyPool, now: Timestamp) -> sqlx::Result<Vec<Reading>> {
        let now = now.as_millisecond();
        let mut readings = Vec::new();
        for (state, query) in self.states {
            let (length, since) = count(pool, query, now).await?;
            readings.push(Reading::new(self.length, length).label("state", *state));
            if let Some(since) = since {
                let age = since.map_or(0.0, |since| seconds(now - since));
                readings.push(Reading::seconds(self.oldest, age).label("state", *state));
            }
        }
        Ok(readings)
    }
}

/// How many, and since when the oldest one; outer none: that is not asked for.
async fn count(
    pool: &AnyPool,
    query: &'static str,
    now: i64,
) -> sqlx::Result<(i64, Option<Option<i64>>)> {
    let row = sqlx::query(query).bind(now).fetch_one(pool).await?;
    let since = match row.len() {
        1 => None,
        2 => Some(row.try_get(1)?),
        _ => {
            let waited: Option<i64> = row.try_get(1)?;
            let changed: Option<String> = row.try_get(2)?;
            let changed = changed.and_then(|at| at.parse::<Timestamp>().ok());
            let changed = changed.map(Timestamp::as_millisecond);
            Some(waited.into_iter().chain(changed).min())
        }
    };
    Ok((row.try_get(0)?, since))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries")]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds.max(0) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: Queue = Queue {
        length: Gauge {
            name: "test_queue",
            help: "Of a test.",
        },
        oldest: Gauge {
            name: "test_queue_oldest_age_seconds",
            help: "Of a test.",
        },
        states: &[
            (
                "due",
                "SELECT COUNT(*), MIN(NULLIF(due_ms, 0)), MIN(CASE WHEN due_ms = 0 THEN changed_at END) FROM jobs \
                 WHERE due_ms <= $1",
            ),
            ("waiting", "SELECT COUNT(*) FROM jobs WHERE due_ms > $1"),
            (
                "parked",
                "SELECT COUNT(*), MIN(due_ms) FROM jobs WHERE due_ms < 0 AND $1 > 0",
            ),
        ],
    };

    /// What is due at once has no time of its own to count from, so its age is that of its last change.
    #[tokio::test]
    async fn what_waits_is_counted_with_its_age() {
        sqlx::any::install_default_drivers();
        let options = sqlx::any::AnyPoolOptions::new().max_connections(1);
        let pool = options.connect("sqlite::memory:").await.unwrap();
        for sql in [
            "CREATE TABLE jobs (due_ms BIGINT, changed_at TEXT)",
            "INSERT INTO jobs VALUES (0, '1970-01-01T00:00:02Z'), (4000, '1970-01-01T00:00:01Z'), (9000, '')",
        ] {
            sqlx::query(sql).execute(&pool).await.unwrap();
        }
        let now = Timestamp::from_second(7).unwrap();
        let length = |state, value| Reading::new(QUEUE.length, value).label("state", state);
        let oldest = |state, value| Reading::seconds(QUEUE.oldest, value).label("state", state);
        assert_eq!(
            QUEUE.read(&pool, now).await.unwrap(),
            [
                length("due", 2),
                oldest("due", 5.0),
                length("waiting", 1),
                length("parked", 0),
                oldest("parked", 0.0),
            ]
        );
    }
}
