//! How far one clock is from another: what was measured, and how it is measured.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::{SignedDuration, Timestamp};

/// Nothing was measured yet.
const UNKNOWN: i64 = i64::MIN;

/// What is known of a clock, in milliseconds. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct KnownOffset(Arc<AtomicI64>);

impl Default for KnownOffset {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(UNKNOWN)))
    }
}

impl KnownOffset {
    pub(super) fn get(&self) -> Option<SignedDuration> {
        let known = self.0.load(Ordering::Relaxed);
        (known != UNKNOWN).then(|| SignedDuration::from_millis(known))
    }

    pub(super) fn set(&self, offset: SignedDuration) {
        let millis = i64::try_from(offset.as_millis()).unwrap_or(i64::MAX);
        self.0.store(millis, Ordering::Relaxed);
    }
}

/// How far a clock that showed `before` and `after` around a question is ahead of the clock that answered `there`. The
/// answer is taken to come from the middle, so the error is half of the round trip at most.
#[must_use]
pub fn offset(before: Timestamp, after: Timestamp, there: Timestamp) -> SignedDuration {
    before.duration_since(there) + after.duration_since(before) / 2
}

/// The middle one of several measurements: a slow answer or two do not move it. `None` where there is none.
#[must_use]
pub fn median(mut offsets: Vec<SignedDuration>) -> Option<SignedDuration> {
    offsets.sort_unstable();
    offsets.get(offsets.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn ahead_is_positive_and_half_of_the_round_trip_is_taken_off() {
        let seconds = |before, after, there| offset(at(before), at(after), at(there)).as_secs();
        assert_eq!(seconds(110, 112, 101), 10);
        assert_eq!(seconds(30, 32, 101), -70);
        assert_eq!(seconds(100, 102, 101), 0);
    }

    #[test]
    fn one_slow_answer_does_not_move_the_median() {
        let seconds = |all: &[i64]| {
            let all = all.iter().copied().map(SignedDuration::from_secs);
            median(all.collect()).map(|median| median.as_secs())
        };
        assert_eq!(seconds(&[0, 900, 0, 1, 0]), Some(0));
        assert_eq!(seconds(&[-6, -5, -6]), Some(-6));
        assert_eq!(seconds(&[]), None);
    }

    #[test]
    fn nothing_is_known_until_it_is_measured() {
        let known = KnownOffset::default();
        assert_eq!(known.get(), None);
        known.clone().set(SignedDuration::from_secs(-70));
        assert_eq!(known.get(), Some(SignedDuration::from_secs(-70)));
    }
}
