//! How often signing in may fail, for each account and for each address, in this process. In memory: addresses
//! are not stored.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use portico_proto::{Error, Kind};
use portico_runtime::Clock;

/// Failures of an account in a window.
const ACCOUNT: u32 = 10;
/// Failures from an address in a window; many people may share one.
const ADDRESS: u32 = 50;
/// From the first failure on.
const WINDOW: Duration = Duration::from_mins(5);
/// Entries from which on those whose window is over are looked for and dropped.
const MANY: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// Blind index of the e-mail address, whether there is an account or not.
    Account(String),
    Address(IpAddr),
}

impl Key {
    fn limit(&self) -> u32 {
        match self {
            Self::Account(_) => ACCOUNT,
            Self::Address(_) => ADDRESS,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Window {
    until: Timestamp,
    failures: u32,
}

/// Counts failures. Cheap to clone; clones share the counts.
#[derive(Clone)]
pub(crate) struct SignInLimits {
    clock: Clock,
    windows: Arc<Mutex<HashMap<Key, Window>>>,
}

/// One try to sign in. It counts as a failure from its beginning, so that many at once are not more tries; unless
/// it is withdrawn.
#[must_use]
pub(crate) struct Attempt {
    limits: SignInLimits,
    keys: Vec<Key>,
}

impl SignInLimits {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            windows: Arc::default(),
        }
    }

    /// Begins a try. `account` is the blind index of the e-mail address; an unreadable `address` has no limit of
    /// its own.
    ///
    /// # Errors
    /// Limited, with the time until the window is over.
    pub(crate) fn begin(&self, account: &str, address: &str) -> Result<Attempt, Error> {
        let account = Key::Account(account.to_owned());
        let address = parse(address).map(network).map(Key::Address);
        let keys: Vec<Key> = [account].into_iter().chain(address).collect();
        let now = self.clock.now();
        let mut windows = self.lock();
        if windows.len() >= MANY {
            windows.retain(|_, window| window.until > now);
        }
        for key in &keys {
            if let Some(window) = windows.get(key)
                && window.until > now
                && window.failures >= key.limit()
            {
                return Err(limited(window.until, now));
            }
        }
        for key in &keys {
            let fresh = Window {
                until: now + WINDOW,
                failures: 0,
            };
            let window = windows.entry(key.clone()).or_insert(fresh);
            if window.until <= now {
                *window = fresh;
            }
            window.failures += 1;
        }
        drop(windows);
        Ok(Attempt {
            limits: self.clone(),
            keys,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// The password was right: the account's failures are forgotten, the address's are not, or somebody with an
    /// account of their own could go on guessing others'.
    pub(crate) fn succeeded(self) {
        let mut windows = self.limits.lock();
        for key in &self.keys {
            match key {
                Key::Account(_) => drop(windows.remove(key)),
                Key::Address(_) => take_back(&mut windows, key),
            }
        }
    }

    /// It was not decided whether the password is right, for a reason of ours.
    pub(crate) fn withdraw(self) {
        let mut windows = self.limits.lock();
        for key in &self.keys {
            take_back(&mut windows, key);
        }
    }
}

fn take_back(windows: &mut HashMap<Key, Window>, key: &Key) {
    if let Some(window) = windows.get_mut(key) {
        window.failures = window.failures.saturating_sub(1);
        if window.failures == 0 {
            windows.remove(key);
        }
    }
}

/// An address, with a port or without.
fn parse(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    text.parse().ok().or_else(with_port)
}

/// What one household or machine has: an IPv4 address, or an IPv6 network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn limited(until: Timestamp, now: Timestamp) -> Error {
    let seconds = until.duration_since(now).as_secs().saturating_add(1);
    let after = Duration::from_secs(u64::try_from(seconds).unwrap_or(1));
    let message = "Signing in failed too often; try again in a few minutes.";
    Error::new(Kind::Limited, "too_many_attempts", message).with_retry_after(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(limits: &SignInLimits, account: &str, address: &str) -> Result<(), Error> {
        limits.begin(account, address).map(drop)
    }

    #[test]
    fn an_account_has_ten_failures_in_five_minutes() {
        let (clock, time) = Clock::manual(Timestamp::UNIX_EPOCH);
        let limits = SignInLimits::new(clock);
        for n in 0..10 {
            assert!(fail(&limits, "ada", &format!("192.0.2.{n}")).is_ok());
        }
        let error = fail(&limits, "ada", "192.0.2.99").unwrap_err();
        assert_eq!(
            (error.kind, error.code.as_ref()),
            (Kind::Limited, "too_many_attempts")
        );
        assert_eq!(error.retry_after, Some(Duration::from_secs(301)));
        assert!(fail(&limits, "bob", "192.0.2.99").is_ok());
        time.advance(Duration::from_secs(300));
        assert!(fail(&limits, "ada", "192.0.2.99").is_ok());
    }

    #[test]
    fn an_address_has_fifty_whatever_the_account() {
        let limits = SignInLimits::new(Clock::fixed(Timestamp::UNIX_EPOCH));
        for n in 0..50 {
            let address = format!("2001:db8::{n}");
            assert!(fail(&limits, &format!("user {n}"), &address).is_ok());
        }
        assert!(fail(&limits, "another", "2001:db8::ffff:1").is_err());
        assert!(fail(&limits, "another", "[2001:db8::7]:443").is_err());
        assert!(fail(&limits, "another", "2001:db8:0:1::1").is_ok());
        assert!(fail(&limits, "another", "").is_ok());
    }

    #[test]
    fn success_clears_the_account_and_not_the_address() {
        let limits = SignInLimits::new(Clock::fixed(Timestamp::UNIX_EPOCH));
        for n in 0..49 {
            assert!(fail(&limits, &format!("user {n}"), "192.0.2.1").is_ok());
        }
        for _ in 0..8 {
            assert!(fail(&limits, "ada", "").is_ok());
        }
        limits.begin("ada", "192.0.2.1").unwrap().succeeded();
        for _ in 0..10 {
            assert!(fail(&limits, "ada", "").is_ok());
        }
        assert!(fail(&limits, "ada", "").is_err());
        assert!(fail(&limits, "bob", "192.0.2.1").is_ok());
        assert!(fail(&limits, "bob", "192.0.2.1").is_err());
    }

    #[test]
    fn what_was_withdrawn_does_not_count() {
        let limits = SignInLimits::new(Clock::fixed(Timestamp::UNIX_EPOCH));
        for _ in 0..20 {
            limits.begin("ada", "192.0.2.1").unwrap().withdraw();
        }
        assert!(limits.lock().is_empty());
    }
}
