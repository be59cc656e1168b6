//! Limits failed sign-ins for each account and each network address. All replicas count in one table, which holds blind
//! indexes and no addresses.
//!
//! Only a failure is written, so a successful sign-in costs no write here. An attempt that is still being verified counts
//! in the memory of its process; otherwise many concurrent guesses would pass the limit before the first one fails.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use portico_proto::{Error, Kind};
use portico_runtime::{Clock, query_error};
use portico_vault::IndexKey;
use sqlx::{AnyPool, Row as _};

/// Failures allowed for an account in a window.
const ACCOUNT: i64 = 10;
/// Failures allowed from a network address in a window; many people may share one.
const ADDRESS: i64 = 50;
/// Counted from the first failure.
const WINDOW: Duration = Duration::from_mins(5);

/// A counter, named by a blind index, and its limit.
#[derive(Debug, Clone)]
struct Key {
    index: String,
    limit: i64,
}

/// Cheap to clone; clones share the attempts under way.
#[derive(Clone)]
pub(crate) struct SignInLimits {
    clock: Clock,
    pool: AnyPool,
    address_key: IndexKey,
    under_way: Arc<Mutex<HashMap<String, i64>>>,
}

/// An attempt to sign in. It counts until it is dropped, and after that if it failed.
#[must_use]
pub(crate) struct Attempt {
    limits: SignInLimits,
    account: Key,
    address: Option<Key>,
    /// Whether there is a row of the account to delete on success.
    failed_before: bool,
}

impl SignInLimits {
    pub(crate) fn new(clock: Clock, pool: AnyPool, address_key: IndexKey) -> Self {
        Self {
            clock,
            pool,
            address_key,
            under_way: Arc::default(),
        }
    }

    /// Begins an attempt. `account` is the blind index of the e-mail address, whether or not there is such an account; an
    /// `address` that cannot be parsed has no limit of its own.
    ///
    /// # Errors
    /// `Limited`, with the time until the window ends; or the database is not available.
    pub(crate) async fn begin(&self, account: &str, address: &str) -> Result<Attempt, Error> {
        let account = Key {
            index: account.to_owned(),
            limit: ACCOUNT,
        };
        let address = parse(address).map(|address| Key {
            index: self.address_key.blind_index(&network(address).to_string()),
            limit: ADDRESS,
        });
        let mut attempt = Attempt {
            limits: self.clone(),
            account,
            address,
            failed_before: false,
        };
        let now = self.clock.now();
        // Enter before reading the table: an attempt that fails meanwhile is then seen in memory, in the table, or twice,
        // but never not at all.
        let under_way = attempt.enter();
        let keys: Vec<Key> = attempt.keys().cloned().collect();
        for (key, under_way) in keys.into_iter().zip(under_way) {
            let Some((failures, until)) = self.failures(&key, now).await? else {
                // No window is open, so there is no time to wait for: those under way end in a moment.
                if under_way >= key.limit {
                    return Err(limited(now, now));
                }
                continue;
            };
            if failures + under_way >= key.limit {
                return Err(limited(until, now));
            }
            attempt.failed_before |= key.limit == ACCOUNT;
        }
        Ok(attempt)
    }

    /// Failures in the open window, and its end.
    async fn failures(&self, key: &Key, now: Timestamp) -> Result<Option<(i64, Timestamp)>, Error> {
        let sql = "SELECT failures, until_ms FROM sign_in_failures WHERE key_index = $1 AND until_ms > $2";
        let row = sqlx::query(sql)
            .bind(key.index.clone())
            .bind(now.as_millisecond())
            .fetch_optional(&self.pool)
            .await
            .map_err(query_error)?;
        let Some(row) = row else {
            return Ok(None);
        };
        let number = |column: usize| row.try_get::<i64, _>(column).map_err(query_error);
        let until = Timestamp::from_millisecond(number(1)?).unwrap_or(now);
        Ok(Some((number(0)?, until)))
    }

    /// Adds a failure to the open window, or opens a new one.
    async fn count(&self, key: &Key) -> Result<(), Error> {
        let now = self.clock.now();
        let sql = "INSERT INTO sign_in_failures (key_index, failures, until_ms) VALUES ($1, 1, $2) \
                   ON CONFLICT (key_index) DO UPDATE SET \
                   failures = CASE WHEN sign_in_failures.until_ms > $3 THEN sign_in_failures.failures + 1 ELSE 1 END, \
                   until_ms = CASE WHEN sign_in_failures.until_ms > $3 THEN sign_in_failures.until_ms \
                   ELSE excluded.until_ms END";
        sqlx::query(sql)
            .bind(key.index.clone())
            .bind((now + WINDOW).as_millisecond())
            .bind(now.as_millisecond())
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(query_error)
    }
}

impl Attempt {
    /// Counts a wrong password.
    ///
    /// # Errors
    /// The database is not available; the failure is not counted then.
    pub(crate) async fn failed(self) -> Result<(), Error> {
        for key in self.keys() {
            self.limits.count(key).await?;
        }
        Ok(())
    }

    /// The password was right: resets the account's failures. Those of the network address stay, or somebody with an
    /// account of their own could reset them between guesses at other accounts.
    ///
    /// # Errors
    /// The database is not available.
    pub(crate) async fn succeeded(self) -> Result<(), Error> {
        if !self.failed_before {
            return Ok(());
        }
        sqlx::query("DELETE FROM sign_in_failures WHERE key_index = $1")
            .bind(self.account.index.clone())
            .execute(&self.limits.pool)
            .await
            .map(|_| ())
            .map_err(query_error)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        [&self.account].into_iter().chain(&self.address)
    }

    /// Counts this attempt as under way, and returns how many others are, for each key.
    fn enter(&self) -> Vec<i64> {
        let under_way = &self.limits.under_way;
        let mut under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner);
        self.keys()
            .map(|key| {
                let count = under_way.entry(key.index.clone()).or_default();
                *count += 1;
                *count - 1
            })
            .collect()
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let under_way = &self.limits.under_way;
        let mut under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner);
        for key in self.keys() {
            if let Some(count) = under_way.get_mut(&key.index) {
                *count -= 1;
                if *count == 0 {
                    under_way.remove(&key.index);
                }
            }
        }
    }
}

/// Deletes the counters whose window has ended.
pub(crate) async fn delete_ended(pool: &AnyPool, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM sign_in_failures WHERE until_ms <= $1")
        .bind(now.as_millisecond())
        .execute(pool)
        .await
        .map(|_| ())
}

/// Parses an address with or without a port.
fn parse(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    text.parse().ok().or_else(with_port)
}

/// What one customer of a provider has to guess from: an IPv4 address, or an IPv6 network of 64 bits, whose addresses are
/// free to choose.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn limited(until: Timestamp, now: Timestamp) -> Error {
    let seconds = until.duration_since(now).as_secs().saturating_add(1);
    let after = Duration::from_secs(u64::try_from(seconds).unwrap_or(1));
    let message = "Too many failed sign-ins; try again in a few minutes.";
    Error::new(Kind::Limited, "too_many_attempts", message).with_retry_after(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_household_has_one_address() {
        let of = |text: &str| parse(text).map(network);
        assert_eq!(of("2001:db8::1"), of("[2001:db8::ffff:7]:443"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1:80"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of(""), None);
    }
}
