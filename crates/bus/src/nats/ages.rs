//! For how long the oldest message has waited for a durable consumer.
//!
//! The server tells how far a consumer has acknowledged and how much waits, but not since when, and to look at a message
//! by its place in the stream would need the right to read all of them. So this is remembered: when the end of the stream
//! was first seen beyond what is acknowledged. An age is exact up to the time between two looks, and begins with the
//! process.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Looks remembered of one consumer; beyond it that one is forgotten whose neighbours are closest, so that those which are
/// left are spread over all of the time.
const LOOKS: usize = 32;
/// The end of the stream while the server does not tell.
const UNKNOWN: u64 = u64::MAX;

/// What the server tells about a consumer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Last place in the stream, seen no later than the rest.
    pub(super) tail: u64,
    /// Everything up to this place is acknowledged.
    pub(super) floor: u64,
    /// Messages that are not acknowledged.
    pub(super) waiting: u64,
}

/// By durable consumer: the end of the stream, and when it was first seen there.
#[derive(Default)]
pub(super) struct Ages(Mutex<HashMap<String, VecDeque<(u64, Instant)>>>);

impl Ages {
    /// For how long something has waited; without a look, for how long there has been none.
    pub(super) fn oldest(&self, durable: &str, look: Option<Look>, now: Instant) -> Duration {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = all.entry(durable.to_owned()).or_default();
        let tail = match look {
            Some(look) if look.waiting == 0 => {
                seen.clear();
                return Duration::ZERO;
            }
            Some(look) => {
                for (tail, _) in seen.iter_mut().filter(|(tail, _)| *tail == UNKNOWN) {
                    *tail = look.tail;
                }
                seen.retain(|(tail, _)| *tail > look.floor);
                look.tail
            }
            None => UNKNOWN,
        };
        if seen.back().is_none_or(|(last, _)| *last < tail) {
            seen.push_back((tail, now));
        }
        if seen.len() > LOOKS {
            let gap = |at: &usize| seen[at + 1].1.duration_since(seen[at - 1].1);
            let closest = (1..seen.len() - 1).min_by_key(gap);
            closest.and_then(|at| seen.remove(at));
        }
        seen.front()
            .map_or(Duration::ZERO, |(_, at)| now.duration_since(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Watch {
        ages: Ages,
        start: Instant,
    }

    impl Watch {
        fn new() -> Self {
            Self {
                ages: Ages::default(),
                start: Instant::now(),
            }
        }

        /// Seconds, at a second.
        fn at(&self, second: u64, look: Option<(u64, u64, u64)>) -> u64 {
            let look = look.map(|(tail, floor, waiting)| Look {
                tail,
                floor,
                waiting,
            });
            let now = self.start + Duration::from_secs(second);
            self.ages.oldest("registration", look, now).as_secs()
        }
    }

    #[test]
    fn what_stays_unacknowledged_ages_and_what_comes_after_it_is_younger() {
        let watch = Watch::new();
        assert_eq!(watch.at(0, Some((100, 3, 0))), 0);
        // The floor of a consumer that had nothing to do is far behind.
        assert_eq!(watch.at(10, Some((101, 3, 1))), 0);
        assert_eq!(watch.at(20, Some((105, 3, 2))), 10);
        // The first is acknowledged; the other was seen ten seconds later.
        assert_eq!(watch.at(30, Some((105, 101, 1))), 10);
        assert_eq!(watch.at(40, Some((105, 105, 0))), 0);
    }

    #[test]
    fn what_the_server_does_not_tell_ages_until_it_does() {
        let watch = Watch::new();
        assert_eq!(watch.at(0, None), 0);
        assert_eq!(watch.at(60, None), 60);
        // Nothing is known to be younger.
        assert_eq!(watch.at(70, Some((9, 0, 1))), 70);
        assert_eq!(watch.at(80, Some((9, 9, 0))), 0);
        assert_eq!(watch.at(90, None), 0);
    }

    #[test]
    fn a_consumer_that_never_catches_up_keeps_its_age_with_few_looks() {
        let watch = Watch::new();
        for second in 0..1000 {
            watch.at(second, Some((second + 2, 0, 1)));
        }
        assert_eq!(watch.at(1000, Some((2000, 0, 1))), 1000);
        assert!(watch.ages.0.lock().unwrap()["registration"].len() <= LOOKS);
        // Half of it is done: what is left was seen at about that time.
        let left = watch.at(1000, Some((2000, 500, 1)));
        assert!((400..=501).contains(&left), "{left}");
    }
}
