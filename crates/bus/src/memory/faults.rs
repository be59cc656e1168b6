//! Faults of a real bus, drawn from a seed.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// How long a reordered message is held back, at most, so that later ones overtake it.
const HELD_BACK_MS: u64 = 20;

/// What goes wrong with deliveries, as probabilities between 0 and 1. The default is nothing.
///
/// Every draw depends on the seed, the consumer's name, the message's place among what was published to this
/// consumer, and the attempt: the same seed and the same order of publishing give the same faults, however the
/// consumers are scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Faults {
    /// Chooses the faults; another seed, other faults.
    pub seed: u64,
    /// Probability that a message is delivered twice to a consumer even if it is acknowledged.
    pub duplicate: f64,
    /// Every message waits between nothing and this long before its first delivery.
    pub delay: Duration,
    /// Probability that a message is held back for up to 20 ms, so that later ones overtake it.
    pub reorder: f64,
    /// Probability that a delivery does not arrive; it is repeated after the ack wait. At 1 nothing ever arrives.
    pub drop: f64,
}

/// What happens to one message on its way to one consumer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Fate {
    pub(super) duplicate: bool,
    pub(super) delay: Duration,
}

impl Faults {
    /// The fate of the `ordinal`-th message queued for `consumer`.
    pub(super) fn fate(&self, consumer: &str, ordinal: u64) -> Fate {
        if *self == Self::default() {
            return Fate::default();
        }
        let mut rng = self.rng(consumer, ordinal, 0);
        let duplicate = rng.random_bool(self.duplicate.clamp(0.0, 1.0));
        let mut delay = self.delay.mul_f64(rng.random::<f64>());
        if rng.random_bool(self.reorder.clamp(0.0, 1.0)) {
            delay += Duration::from_millis(rng.random_range(1..=HELD_BACK_MS));
        }
        Fate { duplicate, delay }
    }

    /// Whether this attempt to deliver gets lost. `attempt` counts from 1.
    pub(super) fn loses(&self, consumer: &str, ordinal: u64, attempt: u32) -> bool {
        self.drop > 0.0
            && self
                .rng(consumer, ordinal, attempt)
                .random_bool(self.drop.clamp(0.0, 1.0))
    }

    fn rng(&self, consumer: &str, ordinal: u64, attempt: u32) -> StdRng {
        let mut hasher = DefaultHasher::new();
        (self.seed, consumer, ordinal, attempt).hash(&mut hasher);
        StdRng::seed_from_u64(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(seed: u64) -> Vec<(Fate, bool)> {
        let faults = Faults {
            seed,
            duplicate: 0.5,
            delay: Duration::from_millis(10),
            reorder: 0.5,
            drop: 0.5,
        };
        (0..50)
            .map(|n| (faults.fate("a", n), faults.loses("a", n, 1)))
            .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        assert_eq!(fates(7), fates(7));
        assert_ne!(fates(7), fates(8));
    }

    #[test]
    fn probabilities_are_about_kept() {
        let faults = Faults {
            seed: 1,
            duplicate: 0.2,
            drop: 0.1,
            ..Faults::default()
        };
        let duplicates = (0..10_000)
            .filter(|n| faults.fate("a", *n).duplicate)
            .count();
        let lost = (0..10_000).filter(|n| faults.loses("a", *n, 1)).count();
        assert!(
            (1_800..2_200).contains(&duplicates),
            "{duplicates} duplicates"
        );
        assert!((850..1_150).contains(&lost), "{lost} lost");
    }

    #[test]
    fn no_faults_by_default() {
        assert_eq!(Faults::default().fate("a", 1), Fate::default());
        assert!(!Faults::default().loses("a", 1, 1));
    }
}
