//! Work that one replica at a time may do.
//!
//! [`Lease::acquire`] takes a lease, [`Held::run`] renews it while a future runs, and gives it up afterwards. There is
//! one answer to losing a lease: **the future is dropped where it stands**, as a crash would leave it, and the caller is
//! told by [`LeaseLost`]. That is safe because a lease only saves work; intents that are recorded before a call to the
//! outside, and expected versions, keep the data right.
//!
//! A lease is lost when another owner has taken it, which needs a pause of this process of more than the time to live.
//! While the database cannot be asked, nobody can take the lease either, so the work goes on: what it has done outside
//! can still be recorded when the database is back.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Database, Result,
    clock::{Clock, ClockReading},
    fault,
};

/// Renewals within one time to live, so that a single one may fail.
const RENEWALS: u32 = 3;
/// How often to try a lease that somebody else holds.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// A named lease in the database. An owner that dies loses it after the time to live.
#[derive(Clone)]
pub struct Lease {
    database: Database,
    name: String,
    owner: String,
    ttl: Duration,
}

/// A lease that was taken. Dropped without [`Held::run`], it lasts until its time to live is over.
#[must_use]
pub struct Held {
    lease: Lease,
    clock: Clock,
    taken_at: Timestamp,
}

/// Another owner has taken the lease; the work was dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("another process has taken the lease {0}")]
pub struct LeaseLost(String);

impl Lease {
    /// The usual time to live.
    pub const TTL: Duration = Duration::from_secs(10);

    /// A lease that `owner`, unique for each process, may take for `ttl` at a time.
    pub fn new(database: Database, name: impl Into<String>, owner: Uuid, ttl: Duration) -> Self {
        Self {
            database,
            name: name.into(),
            owner: owner.to_string(),
            ttl: fault::lease_time(ttl),
        }
    }

    /// Takes the lease for work; `None` where another owner holds it.
    pub async fn acquire(&self, clock: &Clock) -> Result<Option<Held>> {
        let taken_at = clock.now();
        let taken = self.take(taken_at).await?;
        Ok(taken.then(|| Held {
            lease: self.clone(),
            clock: clock.clone(),
            taken_at,
        }))
    }

    /// As [`Lease::acquire`], and waits about so long for another owner to give it up.
    pub async fn acquire_within(&self, clock: &Clock, patience: Duration) -> Result<Option<Held>> {
        let mut waited = Duration::ZERO;
        loop {
            let held = self.acquire(clock).await?;
            if held.is_some() || waited >= patience {
                return Ok(held);
            }
            tokio::time::sleep(TRY_AGAIN).await;
            waited += TRY_AGAIN;
        }
    }

    /// Takes or renews the lease. False where another owner holds it.
    pub async fn take(&self, now: Timestamp) -> Result<bool> {
        let until = now.checked_add(self.ttl).unwrap_or(Timestamp::MAX);
        // An expiry beyond that was written by a clock that was wrong, and does not bind.
        let latest = ClockReading::latest_pause(now, self.ttl);
        let done = sqlx::query(
            "INSERT INTO leases (name, owner, expires_at_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at_ms = excluded.expires_at_ms \
             WHERE leases.owner = excluded.owner OR leases.expires_at_ms < $4 OR leases.expires_at_ms > $5",
        )
        .bind(self.name.clone())
        .bind(self.owner.clone())
        .bind(until.as_millisecond())
        .bind(now.as_millisecond())
        .bind(latest.as_millisecond())
        .execute(self.database.pool())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Frees every lease of a database that only this process can open: whoever held one is dead.
    pub async fn free_all(database: &Database) -> Result<()> {
        sqlx::query("DELETE FROM leases")
            .execute(database.pool())
            .await?;
        Ok(())
    }

    /// Whether anybody holds the lease.
    pub async fn is_held(&self, now: Timestamp) -> Result<bool> {
        // As in `take`: an expiry further ahead than any that is set on purpose does not bind.
        let latest = ClockReading::latest_pause(now, self.ttl);
        let row = sqlx::query(
            "SELECT 1 FROM leases WHERE name = $1 AND expires_at_ms >= $2 AND expires_at_ms <= $3",
        )
        .bind(self.name.clone())
        .bind(now.as_millisecond())
        .bind(latest.as_millisecond())
        .fetch_optional(self.database.pool())
        .await?;
        Ok(row.is_some())
    }

    /// Gives the lease up, so that another replica need not wait.
    pub async fn release(&self) -> Result<()> {
        sqlx::query("DELETE FROM leases WHERE name = $1 AND owner = $2")
            .bind(self.name.clone())
            .bind(self.owner.clone())
            .execute(self.database.pool())
            .await?;
        Ok(())
    }
}

impl Held {
    /// Runs the work while the lease is renewed, then gives the lease up.
    ///
    /// # Errors
    /// The lease was lost: the work was dropped, see the module.
    pub async fn run<T>(self, work: impl Future<Output = T>) -> Result<T, LeaseLost> {
        let done = tokio::select! {
            // What is done is done, although the lease is lost in the same moment.
            biased;
            done = work => Ok(done),
            () = self.renew_until_lost() => Err(LeaseLost(self.lease.name.clone())),
        };
        if let Err(error) = self.lease.release().await {
            tracing::warn!(lease = self.lease.name, %error, "lease not released");
        }
        done
    }

    async fn renew_until_lost(&self) {
        let pause = self.lease.ttl / RENEWALS;
        let mut renewed_at = self.taken_at;
        loop {
            // A clock that is set back must not make it longer.
            let passed = self.clock.now().duration_since(renewed_at);
            let passed = Duration::try_from(passed).unwrap_or_default();
            self.clock.sleep(pause.saturating_sub(passed)).await;
            renewed_at = self.clock.now();
            match self.lease.take(renewed_at).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(lease = self.lease.name, %error, "lease not renewed");
                }
            }
        }
    }
}
