//! Rates and quotas. A bucket belongs to an identity, not to a token: two tokens with the same identity claim share it.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;

use super::definition::Limit;

/// What the counters say to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed(Option<Quota>),
    RateExceeded,
    QuotaExceeded,
}

/// For the `X-RateLimit-*` headers, which in Tyk tell of the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) max: i64,
    pub(super) remaining: i64,
    /// Seconds since the epoch; 0 where the quota never renews.
    pub(super) renews_at: i64,
}

/// All counters, in memory.
#[derive(Debug, Default)]
pub(super) struct Limits {
    rates: HashMap<String, VecDeque<i64>>,
    quotas: HashMap<String, Counter>,
}

#[derive(Debug, Default)]
struct Counter {
    used: i64,
    renews_at: i64,
}

impl Limits {
    /// Counts a request against the bucket. A request over the rate is not counted against the quota.
    pub(super) fn count(&mut self, bucket: &str, limit: &Limit, now: Timestamp) -> Verdict {
        if !self.within_rate(bucket, limit, now.as_millisecond()) {
            return Verdict::RateExceeded;
        }
        self.within_quota(bucket, limit, now.as_second())
    }

    /// A sliding log: at most `rate` requests in any `per` seconds.
    fn within_rate(&mut self, bucket: &str, limit: &Limit, now_ms: i64) -> bool {
        if limit.rate <= 0.0 || limit.per <= 0.0 {
            return true;
        }
        let log = self.rates.entry(bucket.to_owned()).or_default();
        while log
            .front()
            .is_some_and(|at| (now_ms - at) as f64 >= limit.per * 1000.0)
        {
            log.pop_front();
        }
        let free = (log.len() as f64) < limit.rate;
        if free {
            log.push_back(now_ms);
        }
        free
    }

    fn within_quota(&mut self, bucket: &str, limit: &Limit, now: i64) -> Verdict {
        if limit.quota_max <= 0 {
            return Verdict::Allowed(None);
        }
        let counter = self.quotas.entry(bucket.to_owned()).or_default();
        if limit.quota_renewal_rate > 0 && now >= counter.renews_at {
            *counter = Counter {
                used: 0,
                renews_at: now.saturating_add(limit.quota_renewal_rate),
            };
        }
        if counter.used >= limit.quota_max {
            return Verdict::QuotaExceeded;
        }
        counter.used += 1;
        let remaining = limit.quota_max - counter.used;
        Verdict::Allowed(Some(Quota {
            max: limit.quota_max,
            remaining,
            renews_at: counter.renews_at,
        }))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn limit(rate: f64, quota_max: i64, quota_renewal_rate: i64) -> Limit {
        Limit {
            rate,
            per: 60.0,
            quota_max,
            quota_renewal_rate,
        }
    }

    #[test]
    fn the_rate_slides() {
        let (mut limits, limit) = (Limits::default(), limit(2.0, 0, 0));
        let mut count = |second| limits.count("a", &limit, at(second)) == Verdict::Allowed(None);
        assert!(count(0) && count(30) && !count(59));
        assert!(count(60) && !count(61) && count(90));
    }

    #[test]
    fn the_quota_renews() {
        let (mut limits, limit) = (Limits::default(), limit(0.0, 1, 100));
        let quota = Quota {
            max: 1,
            remaining: 0,
            renews_at: at(100).as_second(),
        };
        assert_eq!(
            limits.count("a", &limit, at(0)),
            Verdict::Allowed(Some(quota))
        );
        assert_eq!(limits.count("a", &limit, at(99)), Verdict::QuotaExceeded);
        assert_ne!(limits.count("a", &limit, at(100)), Verdict::QuotaExceeded);
    }

    #[test]
    fn a_quota_without_renewal_ends() {
        let (mut limits, limit) = (Limits::default(), limit(0.0, 1, 0));
        assert_ne!(limits.count("a", &limit, at(0)), Verdict::QuotaExceeded);
        assert_eq!(
            limits.count("a", &limit, at(1_000_000)),
            Verdict::QuotaExceeded
        );
        assert_ne!(
            limits.count("b", &limit, at(0)),
            Verdict::QuotaExceeded,
            "another bucket"
        );
    }

    #[test]
    fn zero_and_less_is_unlimited() {
        let mut limits = Limits::default();
        for limit in [limit(0.0, 0, 0), limit(-1.0, -1, 60)] {
            for _ in 0..100 {
                assert_eq!(limits.count("a", &limit, at(0)), Verdict::Allowed(None));
            }
        }
    }
}
