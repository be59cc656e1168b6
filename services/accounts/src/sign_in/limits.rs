//! Limits failed sign-ins for each account and each network address, and sign-ups from each address. All replicas count
//! in one table, which holds blind indexes and no addresses.
//!
//! Failures from a place where the account's owner has signed in before ([`known`]) are counted apart, so that guesses
//! from elsewhere do not lock the owner out.
//!
//! Only a failure is written, so a successful sign-in from a known place costs no write here; successes are limited in the
//! memory of each process ([`successes`]), since they cost work and tell no secret. An attempt that is still
//! being verified counts in the memory of its process; otherwise many concurrent guesses would pass the limit before the
//! first one fails.

mod known;
mod successes;

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use portico_eventstore::{
    Row,
    retention::{Expiry, Format},
};
use portico_proto::{Error, Kind};
use portico_runtime::{
    Clock,
    address::{household, parse},
    config::Attempts,
    query_error,
};
use portico_vault::{IndexKey, Vault, VaultRef};
use sqlx::{AnyPool, Row as _};
use uuid::Uuid;

use self::{known::Places, successes::Successes};
use super::password::Turn;
use crate::people::owner;

/// A counter, named by a blind index, its limit, and the time from the first one counted to its end.
#[derive(Debug, Clone)]
struct Key {
    index: String,
    limit: i64,
    window: Duration,
}

/// Cheap to clone; clones share the attempts under way.
#[derive(Clone)]
pub(crate) struct Limits {
    clock: Clock,
    pool: AnyPool,
    address_key: IndexKey,
    settings: Attempts,
    under_way: Arc<Mutex<HashMap<String, i64>>>,
    successes: Arc<Successes>,
}

/// From where somebody signs in, as the edge says it. Either may be empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// Network address, with or without a port; one that cannot be parsed counts as unknown.
    pub(crate) address: &'a str,
    /// The mark that the browser has kept.
    pub(crate) device: &'a str,
}

/// An attempt to sign in. It counts until it is dropped, and after that if it failed.
#[must_use]
pub(crate) struct Attempt {
    limits: Limits,
    places: Places,
    account: Key,
    address: Option<Key>,
    /// Of the network address, whatever device it is.
    network: Option<String>,
    /// Whether there is a row of the account to delete on success.
    failed_before: bool,
}

impl Limits {
    pub(crate) fn new(
        clock: Clock,
        pool: AnyPool,
        address_key: IndexKey,
        settings: Attempts,
    ) -> Self {
        Self {
            clock,
            pool,
            address_key,
            settings,
            under_way: Arc::default(),
            successes: Arc::new(Successes::new(settings.successes, settings.window)),
        }
    }

    /// Begins an attempt. `account` is the blind index of the e-mail address, whether or not there is such an account.
    ///
    /// # Errors
    /// `Limited`, with the time until the window ends; or the database is not available.
    pub(crate) async fn begin(&self, account: &str, from: Origin<'_>) -> Result<Attempt, Error> {
        let now = self.clock.now();
        let network = parse(from.address).map(|address| household(address).to_string());
        let places = self
            .places(account, network.as_deref(), from.device, now)
            .await?;
        let mut attempt = self.attempt(places, network);
        if let Some(until) = attempt
            .network
            .as_ref()
            .and_then(|network| self.successes.over(network, now))
        {
            return Err(too_many_sign_ins(until, now));
        }
        // Enter before reading the table: an attempt that fails meanwhile is then seen in memory, in the table, or twice,
        // but never not at all.
        let under_way = attempt.enter();
        let keys: Vec<Key> = attempt.keys().cloned().collect();
        for (number, (key, under_way)) in keys.into_iter().zip(under_way).enumerate() {
            let Some((failures, until)) = self.counted(&key, now).await? else {
                // No window is open, so there is no time to wait for: those under way end in a moment.
                if under_way >= key.limit {
                    return Err(too_many_attempts(now, now));
                }
                continue;
            };
            if failures + under_way >= key.limit {
                return Err(too_many_attempts(until, now));
            }
            attempt.failed_before |= number == 0;
        }
        Ok(attempt)
    }

    fn attempt(&self, places: Places, network: Option<String>) -> Attempt {
        let settings = &self.settings;
        let key = |index, limit: u32| Key {
            index,
            limit: limit.into(),
            window: settings.window,
        };
        let network = network.map(|network| self.address_key.blind_index(&network));
        // A device that is known is nobody else's, whoever shares its address.
        let address = network.clone().filter(|_| !places.device_is_known());
        Attempt {
            limits: self.clone(),
            account: key(places.counter().to_owned(), settings.account),
            address: address.map(|index| key(index, settings.address)),
            network,
            places,
            failed_before: false,
        }
    }

    /// Counts a sign-up from a network address, successful or not; an address that cannot be parsed has no limit.
    ///
    /// # Errors
    /// `Limited`, with the time until the window ends; or the database is not available.
    pub(crate) async fn sign_up(&self, address: &str) -> Result<(), Error> {
        let Some(address) = parse(address) else {
            return Ok(());
        };
        let now = self.clock.now();
        let key = Key {
            index: self
                .address_key
                .blind_index(&format!("sign_up\n{}", household(address))),
            limit: self.settings.sign_ups.into(),
            window: self.settings.sign_up_window,
        };
        // What is over the limit is not written, so that a flood costs a read for each.
        if let Some((count, until)) = self.counted(&key, now).await?
            && count >= key.limit
        {
            return Err(too_many_sign_ups(until, now));
        }
        let (count, until) = self.count(&key).await?;
        if count > key.limit {
            return Err(too_many_sign_ups(until, now));
        }
        Ok(())
    }

    /// The count of the open window, and its end.
    async fn counted(&self, key: &Key, now: Timestamp) -> Result<Option<(i64, Timestamp)>, Error> {
        let sql = "SELECT failures, until_ms FROM sign_in_failures WHERE key_index = $1 AND until_ms > $2";
        let row = sqlx::query(sql)
            .bind(key.index.clone())
            .bind(now.as_millisecond())
            .fetch_optional(&self.pool)
            .await
            .map_err(query_error)?;
        row.map(|row| window(&row, now)).transpose()
    }

    /// Adds one to the open window, or opens a new one. Returns the count, and the end of the window.
    async fn count(&self, key: &Key) -> Result<(i64, Timestamp), Error> {
        let now = self.clock.now();
        let until = now.checked_add(key.window).unwrap_or(Timestamp::MAX);
        let sql = "INSERT INTO sign_in_failures (key_index, failures, until_ms) VALUES ($1, 1, $2) \
                   ON CONFLICT (key_index) DO UPDATE SET \
                   failures = CASE WHEN sign_in_failures.until_ms > $3 THEN sign_in_failures.failures + 1 ELSE 1 END, \
                   until_ms = CASE WHEN sign_in_failures.until_ms > $3 THEN sign_in_failures.until_ms \
                   ELSE excluded.until_ms END RETURNING failures, until_ms";
        let row = sqlx::query(sql)
            .bind(key.index.clone())
            .bind(until.as_millisecond())
            .bind(now.as_millisecond())
            .fetch_one(&self.pool)
            .await
            .map_err(query_error)?;
        window(&row, now)
    }
}

fn window(row: &Row, now: Timestamp) -> Result<(i64, Timestamp), Error> {
    let number = |column: usize| row.try_get::<i64, _>(column).map_err(query_error);
    let until = Timestamp::from_millisecond(number(1)?).unwrap_or(now);
    Ok((number(0)?, until))
}

impl Attempt {
    /// Whose turn it is where passwords are verified: an account's known place, or a network address. Where that is not known
    /// either, those who try one account wait for each other.
    pub(crate) fn turn(&self) -> Turn {
        let known = self.places.are_known();
        let place = match &self.network {
            Some(network) if !known => network,
            _ => &self.account.index,
        };
        Turn {
            known,
            place: place.clone(),
        }
    }

    /// Counts a wrong password. Returns until when no more are tried for the account, where this was the last one.
    ///
    /// # Errors
    /// The database is not available; the failure is not counted then.
    pub(crate) async fn failed(self) -> Result<Option<Timestamp>, Error> {
        let (count, until) = self.limits.count(&self.account).await?;
        if let Some(address) = &self.address {
            self.limits.count(address).await?;
        }
        Ok((count == self.account.limit).then_some(until))
    }

    /// The password was right: the place is known from now on, and its failures are reset. Those of the network address
    /// stay, or somebody with an account of their own could reset them between guesses at other accounts. Returns where the
    /// network address is in the vault, among the account's.
    ///
    /// # Errors
    /// The database is not available.
    pub(crate) async fn succeeded(
        mut self,
        vault: &Vault,
        account_id: Uuid,
    ) -> Result<Option<VaultRef>, Error> {
        if self.failed_before {
            sqlx::query("DELETE FROM sign_in_failures WHERE key_index = $1")
                .bind(self.account.index.clone())
                .execute(&self.limits.pool)
                .await
                .map_err(query_error)?;
        }
        if let Some(network) = self.network.take() {
            let limits = &self.limits;
            limits.successes.count(network, limits.clock.now());
        }
        let places = mem::take(&mut self.places);
        self.limits
            .remember(places, vault, &owner(account_id))
            .await
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

/// Counters whose window has ended are pruned, and places where nobody has signed in for long.
pub(crate) fn expiries(settings: &Attempts) -> [Expiry; 2] {
    let counters = Expiry {
        table: "sign_in_failures",
        ended: "SELECT key_index FROM sign_in_failures WHERE until_ms <= $1 LIMIT $2",
        key: "key_index",
        time: Format::Milliseconds,
        keep: Duration::ZERO,
    };
    let places = Expiry {
        table: "known_places",
        ended: "SELECT place_index FROM known_places WHERE seen_ms <= $1 LIMIT $2",
        key: "place_index",
        time: Format::Milliseconds,
        keep: settings.known_for,
    };
    [counters, places]
}

fn too_many_attempts(until: Timestamp, now: Timestamp) -> Error {
    let message = "Too many failed sign-ins; try again in a few minutes.";
    limited("too_many_attempts", message, until, now)
}

fn too_many_sign_ins(until: Timestamp, now: Timestamp) -> Error {
    let message = "Too many sign-ins from your network address; try again in a few minutes.";
    limited("too_many_sign_ins", message, until, now)
}

fn too_many_sign_ups(until: Timestamp, now: Timestamp) -> Error {
    let message = "Too many sign-ups from your network address; try again later.";
    limited("too_many_sign_ups", message, until, now)
}

fn limited(code: &'static str, message: &str, until: Timestamp, now: Timestamp) -> Error {
    let seconds = until.duration_since(now).as_secs().saturating_add(1);
    let after = Duration::from_secs(u64::try_from(seconds).unwrap_or(1));
    Error::new(Kind::Limited, code, message).with_retry_after(after)
}
