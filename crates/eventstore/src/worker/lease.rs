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
//!
//! In PostgreSQL its own clock counts, so that replicas whose clocks differ see each other's leases. A SQLite file has one
//! process, which counts by its own.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
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

/// Milliseconds by the clock of PostgreSQL.
const NOW: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

/// PostgreSQL need not wait for the disk: a lease that is lost with the server only saved work.
const NOT_FLUSHED: &str = "RETURNING set_config('synchronous_commit', 'off', true)";

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

    /// As [`Lease::acquire`], and waits for as long as an owner that died would hold it. `None`: its owner is alive.
    pub async fn acquire_from_the_dead(&self, clock: &Clock) -> Result<Option<Held>> {
        self.acquire_within(clock, self.ttl + self.ttl / RENEWALS)
            .await
    }

    /// Takes or renews the lease. False where another owner holds it.
    pub async fn take(&self, now: Timestamp) -> Result<bool> {
        let until = now.checked_add(self.ttl).unwrap_or(Timestamp::MAX);
        if let Some(file) = self.database.file() {
            let mut here = here();
            let held = here.entry((file.clone(), self.name.clone()));
            let held = held.or_insert_with(|| (self.owner.clone(), until));
            let taken = held.0 == self.owner || !self.binds(held.1, now);
            if taken {
                *held = (self.owner.clone(), until);
            }
            return Ok(taken);
        }
        let statement = format!(
            "INSERT INTO leases (name, owner, expires_at_ms) VALUES ($1, $2, {NOW} + $3) \
             ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at_ms = excluded.expires_at_ms \
             WHERE leases.owner = excluded.owner OR leases.expires_at_ms < {NOW} \
             OR leases.expires_at_ms > {NOW} + $4 {NOT_FLUSHED}"
        );
        let done = sqlx::query(AssertSqlSafe(statement))
            .bind(self.name.clone())
            .bind(self.owner.clone())
            .bind(until.as_millisecond() - now.as_millisecond())
            .bind(self.latest(now).as_millisecond() - now.as_millisecond())
            .execute(self.database.pool())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether anybody holds the lease.
    pub async fn is_held(&self, now: Timestamp) -> Result<bool> {
        if let Some(file) = self.database.file() {
            let held = here().get(&(file.clone(), self.name.clone())).cloned();
            return Ok(held.is_some_and(|(_, until)| self.binds(until, now)));
        }
        let statement = format!(
            "SELECT 1 FROM leases WHERE name = $1 AND expires_at_ms BETWEEN {NOW} AND {NOW} + $2"
        );
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(self.name.clone())
            .bind(self.latest(now).as_millisecond() - now.as_millisecond())
            .fetch_optional(self.database.pool())
            .await?;
        Ok(row.is_some())
    }

    /// Gives the lease up, so that another replica need not wait.
    pub async fn release(&self) -> Result<()> {
        if let Some(file) = self.database.file() {
            let mut here = here();
            let place = (file.clone(), self.name.clone());
            if here.get(&place).is_some_and(|held| held.0 == self.owner) {
                here.remove(&place);
            }
            return Ok(());
        }
        let statement = format!("DELETE FROM leases WHERE name = $1 AND owner = $2 {NOT_FLUSHED}");
        sqlx::query(AssertSqlSafe(statement))
            .bind(self.name.clone())
            .bind(self.owner.clone())
            .execute(self.database.pool())
            .await?;
        Ok(())
    }

    fn binds(&self, until: Timestamp, now: Timestamp) -> bool {
        (now..=self.latest(now)).contains(&until)
    }

    /// An expiry beyond this was written by a clock that was wrong, and does not bind.
    fn latest(&self, now: Timestamp) -> Timestamp {
        ClockReading::latest_pause(now, self.ttl)
    }
}

/// Leases in SQLite files, by file and name, with owner and expiry.
type Here = HashMap<(Arc<str>, String), (String, Timestamp)>;

/// One process has a SQLite file, so its leases need not outlive it.
fn here() -> MutexGuard<'static, Here> {
    static HERE: LazyLock<Mutex<Here>> = LazyLock::new(Mutex::default);
    HERE.lock().unwrap_or_else(PoisonError::into_inner)
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
