//! Work that only one replica may do at a time.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Database, StoreError, fault};

/// No two clocks of an installation differ by more than this. An expiry further away than this and the time to
/// live was written by a clock that was wrong, and does not bind.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// A named lease in the database. A replica that dies loses it after the time to live; expected versions, not
/// the lease, keep the data right.
#[derive(Clone)]
pub struct Lease {
    database: Database,
    name: String,
    owner: String,
    ttl: Duration,
}

impl Lease {
    /// A lease that `owner`, unique for each process, may take for `ttl` at a time.
    pub fn new(database: Database, name: impl Into<String>, owner: Uuid, ttl: Duration) -> Self {
        Self {
            database,
            name: name.into(),
            owner: owner.to_string(),
            ttl: fault::lease_time(ttl),
        }
    }

    /// Takes or prolongs the lease. False where somebody else holds it.
    pub async fn take(&self, now: Timestamp) -> Result<bool, StoreError> {
        let until =
            now.as_millisecond() + i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX / 2);
        let done = sqlx::query(
            "INSERT INTO leases (name, owner, expires_at_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at_ms = excluded.expires_at_ms \
             WHERE leases.owner = excluded.owner OR leases.expires_at_ms < $4 OR leases.expires_at_ms > $5",
        )
        .bind(self.name.clone())
        .bind(self.owner.clone())
        .bind(until)
        .bind(now.as_millisecond())
        .bind(until + CLOCK_TOLERANCE.as_millis() as i64)
        .execute(self.database.pool())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Frees every lease of a database that only this process can open: whoever held one is dead.
    pub async fn free_all(database: &Database) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM leases")
            .execute(database.pool())
            .await?;
        Ok(())
    }

    /// Whether anybody holds the lease.
    pub async fn is_held(&self, now: Timestamp) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM leases WHERE name = $1 AND expires_at_ms >= $2")
            .bind(self.name.clone())
            .bind(now.as_millisecond())
            .fetch_optional(self.database.pool())
            .await?;
        Ok(row.is_some())
    }

    /// Gives the lease up, so that another replica need not wait.
    pub async fn release(&self) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM leases WHERE name = $1 AND owner = $2")
            .bind(self.name.clone())
            .bind(self.owner.clone())
            .execute(self.database.pool())
            .await?;
        Ok(())
    }
}
