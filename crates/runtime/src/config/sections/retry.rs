//! How a call that failed for a passing reason is tried again: with exponential back-off and jitter.

use std::time::Duration;

use jiff::Timestamp;

use super::super::reader::Reader;

/// How a call that failed for a passing reason is tried again.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Pause before the second try.
    pub first_delay: Duration,
    /// Longest pause.
    pub max_delay: Duration,
    /// Tries until it is parked.
    pub max_attempts: u32,
}

impl Retry {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        let retry = Self {
            first_delay: reader.duration("retry.first_delay"),
            max_delay: reader.duration("retry.max_delay"),
            max_attempts: reader.number("retry.max_attempts"),
        };
        if retry.first_delay > retry.max_delay {
            reader.problem(
                "retry.first_delay",
                "must not be longer than retry.max_delay",
            );
        }
        retry
    }

    /// The pause after so many failures in a row, counted from 1: doubled each time up to the longest, less up to a half
    /// of it, so that what failed together is not tried together. `random` is 0 to 1.
    #[must_use]
    pub fn pause(&self, failures: u32, random: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(30);
        let longest = self
            .first_delay
            .saturating_mul(1 << doublings)
            .min(self.max_delay);
        longest.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
    }

    /// When a pause from now on is over: in whole milliseconds, as views keep it, and not earlier.
    #[must_use]
    pub fn after(now: Timestamp, pause: Duration) -> Timestamp {
        let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX / 2);
        let until = now.as_millisecond().saturating_add(pause).saturating_add(1);
        Timestamp::from_millisecond(until).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread() {
        let retry = Retry {
            first_delay: Duration::from_secs(2),
            max_delay: Duration::from_secs(60),
            max_attempts: 20,
        };
        let pauses: Vec<u64> = (1..8).map(|n| retry.pause(n, 0.0).as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(retry.pause(1, 1.0), Duration::from_secs(1));
        assert_eq!(retry.pause(u32::MAX, 0.5), Duration::from_secs(45));
    }

    #[test]
    fn the_next_try_is_never_before_the_pause_is_over() {
        let now: Timestamp = "2026-01-01T00:00:00.0005Z".parse().unwrap();
        assert!(Retry::after(now, Duration::ZERO) > now);
        assert_eq!(Retry::after(now, Duration::MAX), Timestamp::MAX);
    }
}
