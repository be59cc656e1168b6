//! A clock reading that also copes with what was written by a clock that was ahead of the present one.

use std::time::Duration;

use jiff::Timestamp;

/// No two clocks of an installation differ by more than this.
const TOLERANCE: Duration = Duration::from_secs(60);

/// The present time, for what is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// By the present clock.
    pub now: Timestamp,
    /// A pause that ends after this was reckoned by a clock that was ahead: it would last until the present clock
    /// shows that time, so it does not bind.
    longest: Timestamp,
}

impl ClockReading {
    /// Now, for a stream whose latest event was recorded then, with the longest usual pause.
    pub(crate) fn new(now: Timestamp, recorded_at: Timestamp, longest: Duration) -> Self {
        let longest = match recorded_at > latest(now) {
            true => latest_pause(now, longest),
            false => Timestamp::MAX,
        };
        Self { now, longest }
    }

    /// Whether a pause until then is not over.
    #[must_use]
    pub fn is_before(self, until: Timestamp) -> bool {
        until > self.now && until <= self.longest
    }
}

impl From<Timestamp> for ClockReading {
    /// By a clock that is right.
    fn from(now: Timestamp) -> Self {
        Self {
            now,
            longest: Timestamp::MAX,
        }
    }
}

/// The latest time that a clock may show that is not wrong.
pub(crate) fn latest(now: Timestamp) -> Timestamp {
    now.checked_add(TOLERANCE).unwrap_or(Timestamp::MAX)
}

/// The latest end of a usual pause.
pub(crate) fn latest_pause(now: Timestamp, longest: Duration) -> Timestamp {
    latest(now).checked_add(longest).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn only_long_pauses_of_a_clock_that_was_ahead_do_not_bind() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let minutes = |minutes| now + SignedDuration::from_mins(minutes);
        let longest = Duration::from_secs(600);
        let right = ClockReading::new(now, now, longest);
        assert!(right.is_before(minutes(1)) && right.is_before(minutes(600)));
        assert!(!right.is_before(now));
        let after_another = ClockReading::new(now, minutes(60), longest);
        assert!(after_another.is_before(minutes(1)), "made since");
        assert!(!after_another.is_before(minutes(60)));
        assert_eq!(after_another.now, now);
    }
}
