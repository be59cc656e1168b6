//! The sandbox's clock: the system's, plus an offset that a test can move, so that
//! expiry, quotas and caches are tested without waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// A clock that can be moved forward. Clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct SandboxClock {
    offset_ms: Arc<AtomicI64>,
}

impl SandboxClock {
    /// The present, as this clock sees it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let milliseconds = system_milliseconds() + self.offset_ms.load(Ordering::SeqCst);
        Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Whole seconds since the epoch, as JWT claims want them.
    #[must_use]
    pub fn epoch_seconds(&self) -> i64 {
        self.now().as_second()
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let milliseconds = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_ms.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the sandbox plays foreign servers, which have clocks of their own"
)]
fn system_milliseconds() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_move_together() {
        let clock = SandboxClock::default();
        let other = clock.clone();
        let before = other.epoch_seconds();
        clock.advance(Duration::from_secs(3600));
        assert!(other.epoch_seconds() >= before + 3600);
    }
}
