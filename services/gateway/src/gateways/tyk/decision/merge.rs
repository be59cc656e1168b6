//! How several policies become what a caller may do. A policy with the partition `acl` opens APIs, one with
//! `rate_limit` or `quota` limits them, one without partitions does all of it; an API that is only limited stays
//! closed. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

// The gateway's own messages, which reach the caller in some cases.
const FOREIGN: &str = "attempting to apply policy from different organisation to key, skipping";
const MIXED: &str =
    "cannot apply multiple policies when some have per_api set and some are partitioned";

/// Requests and seconds; zero or less is no limit.
type Pair = (f64, f64);

/// What holds where no policy says otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Session {
    rate: Pair,
    quota: Pair,
}

/// What a caller may do.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) session: Session,
    pub(super) rights: BTreeMap<String, Right>,
    pub(super) inactive: bool,
}

/// What a caller may do with one API.
#[derive(Debug, Clone, Default)]
pub(super) struct Right {
    versions: BTreeSet<String>,
    rate: Option<Pair>,
    quota: Option<Pair>,
    opened: bool,
}

impl Right {
    pub(super) fn serves(&self, version: Option<&str>) -> bool {
        version.is_none_or(|version| self.versions.contains(version))
    }

    pub(super) fn limits(&self) -> (Pair, Pair) {
        (
            self.rate.unwrap_or_default(),
            self.quota.unwrap_or_default(),
        )
    }
}

/// The limits of a policy, before any is applied.
pub(super) fn session_of(policy: &Value) -> Session {
    let (rate, quota) = pairs(policy);
    Session { rate, quota }
}

/// Whether a policy opens, and whether it limits, an API.
pub(super) fn parts_at(policy: Option<&Value>, api: &str) -> (bool, bool) {
    let Some(policy) = policy.filter(|policy| policy["access_rights"][api].is_object()) else {
        return (false, false);
    };
    let parts = Parts::of(policy);
    (parts.opens(), parts.rates() || parts.counts())
}

#[derive(Clone, Copy)]
struct Parts {
    acl: bool,
    rate: bool,
    quota: bool,
    complexity: bool,
    per_api: bool,
}

impl Parts {
    fn of(policy: &Value) -> Self {
        let has = |part: &str| policy["partitions"][part] == true;
        Self {
            acl: has("acl"),
            rate: has("rate_limit"),
            quota: has("quota"),
            complexity: has("complexity"),
            per_api: has("per_api"),
        }
    }

    /// No part at all means every part.
    fn all(self) -> bool {
        !(self.acl || self.rate || self.quota || self.complexity)
    }

    fn opens(self) -> bool {
        self.acl || self.all()
    }

    fn rates(self) -> bool {
        self.rate || self.all()
    }

    fn counts(self) -> bool {
        self.quota || self.all()
    }
}

/// Applies policies to a session. One that is not there is passed over, unless it is the only one.
///
/// # Errors
/// Why they do not go together.
pub(super) fn merge(
    start: Session,
    ids: &[String],
    policies: &BTreeMap<String, Value>,
    org: &str,
) -> Result<Merged, String> {
    let mut merged = Merged {
        session: cleared(start, ids, policies),
        ..Merged::default()
    };
    let (mut per_api, mut partitioned) = (false, false);
    for id in ids {
        let Some(policy) = policies.get(id) else {
            if ids.len() > 1 {
                continue;
            }
            return Err(format!("policy not found: {id:?}"));
        };
        if policy["org_id"].as_str().unwrap_or_default() != org {
            return Err(FOREIGN.to_owned());
        }
        let parts = Parts::of(policy);
        if parts.per_api && !parts.all() {
            return Err(format!(
                "cannot apply policy {id} which has per_api and any of partitions set"
            ));
        }
        if (parts.per_api && partitioned) || (!parts.per_api && !parts.all() && per_api) {
            return Err(MIXED.to_owned());
        }
        apply(&mut merged, policy, parts);
        per_api |= parts.per_api;
        partitioned = !parts.per_api && !parts.all();
        merged.inactive |= policy["is_inactive"] == true;
    }
    merged.rights.retain(|_, right| right.opened);
    if merged.rights.is_empty() {
        return Err("key has no valid policies to be applied".to_owned());
    }
    let session = merged.session;
    for right in merged.rights.values_mut() {
        right.rate.get_or_insert(session.rate);
        right.quota.get_or_insert(session.quota);
    }
    Ok(merged)
}

/// What the coming policies set is not measured against what was before.
fn cleared(mut session: Session, ids: &[String], policies: &BTreeMap<String, Value>) -> Session {
    for policy in ids.iter().filter_map(|id| policies.get(id)) {
        let parts = Parts::of(policy);
        if parts.counts() {
            session.quota.0 = 0.0;
        }
        if parts.rates() {
            session.rate = (0.0, 0.0);
        }
    }
    session
}

fn apply(merged: &mut Merged, policy: &Value, parts: Parts) {
    let whole = pairs(policy);
    for (api, access) in policy["access_rights"].as_object().into_iter().flatten() {
        let right = merged.rights.entry(api.clone()).or_default();
        if parts.opens() {
            right.opened = true;
            right
                .versions
                .extend(super::super::http::texts(&access["versions"]));
        }
        let own = pairs(&access["limit"]);
        let (rate, quota) = if parts.per_api && own != ((0.0, 0.0), (0.0, 0.0)) {
            own
        } else {
            whole
        };
        if parts.counts() {
            larger(right.quota.get_or_insert_default(), quota);
            if !parts.per_api {
                larger(&mut merged.session.quota, quota);
            }
        }
        if parts.rates() {
            faster(right.rate.get_or_insert_default(), rate);
            if !parts.per_api {
                faster(&mut merged.session.rate, rate);
            }
        }
    }
}

/// The faster rate wins; an empty one never does.
fn faster(rate: &mut Pair, by: Pair) {
    let empty = |rate: Pair| rate.0 == 0.0 || rate.1 == 0.0;
    if !empty(by) && (empty(*rate) || rate.1 / rate.0 > by.1 / by.0) {
        *rate = by;
    }
}

/// The larger quota wins, and -1 is the largest; so does the longer renewal.
fn larger(quota: &mut Pair, by: Pair) {
    if by.0 == -1.0 || (quota.0 != -1.0 && by.0 > quota.0) {
        quota.0 = by.0;
    }
    quota.1 = quota.1.max(by.1);
}

fn pairs(limits: &Value) -> (Pair, Pair) {
    let number = |member: &str| limits[member].as_f64().unwrap_or_default();
    (
        (number("rate"), number("per")),
        (number("quota_max"), number("quota_renewal_rate")),
    )
}
