//! A reading of the clock, beside times that the clock of another machine may have written.

use std::time::Duration;

use jiff::Timestamp;

/// Clocks of one installation differ by at most this much. A time further ahead was written by a clock that was wrong.
const TOLERANCE: Duration = Duration::from_secs(60);

/// The present time, for deciding what a stream needs next.
///
/// A stream that was last written by a clock that ran ahead has pauses that end in that clock's future. They would last
/// until the present clock shows that time, so a pause longer than any that is ever set does not bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// By the present clock.
    pub now: Timestamp,
    /// Pauses that end later do not bind.
    latest_pause: Timestamp,
}

impl ClockReading {
    /// A reading for a stream whose newest event was recorded at `recorded_at`; `longest` is the longest pause that is
    /// set on purpose.
    #[must_use]
    pub fn of_stream(now: Timestamp, recorded_at: Timestamp, longest: Duration) -> Self {
        let latest_pause = if recorded_at > Self::latest(now) {
            Self::latest_pause(now, longest)
        } else {
            Timestamp::MAX
        };
        Self { now, latest_pause }
    }

    /// Whether a pause until then still lasts.
    #[must_use]
    pub fn is_before(self, until: Timestamp) -> bool {
        until > self.now && until <= self.latest_pause
    }

    /// The latest time that another clock of the installation can show now.
    #[must_use]
    pub fn latest(now: Timestamp) -> Timestamp {
        now.checked_add(TOLERANCE).unwrap_or(Timestamp::MAX)
    }

    /// The latest end of a pause, or of a lease, of at most `longest` that begins now by any clock of the installation.
    #[must_use]
    pub fn latest_pause(now: Timestamp, longest: Duration) -> Timestamp {
        Self::latest(now)
            .checked_add(longest)
            .unwrap_or(Timestamp::MAX)
    }
}

impl From<Timestamp> for ClockReading {
    /// For a stream that was written by clocks that are right.
    fn from(now: Timestamp) -> Self {
        Self {
            now,
            latest_pause: Timestamp::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn only_long_pauses_of_a_clock_that_ran_ahead_do_not_bind() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let minutes = |minutes| now + SignedDuration::from_mins(minutes);
        let longest = Duration::from_secs(600);
        let right = ClockReading::of_stream(now, now, longest);
        assert!(right.is_before(minutes(1)) && right.is_before(minutes(600)));
        assert!(!right.is_before(now));
        let after_another = ClockReading::of_stream(now, minutes(60), longest);
        assert!(after_another.is_before(minutes(1)), "set since");
        assert!(!after_another.is_before(minutes(60)));
        assert_eq!(after_another.now, now);
    }
}
