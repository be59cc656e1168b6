//! How several policies become what a caller may do: Tyk's merge by partitions. Pure.
//!
//! A policy with the `acl` partition opens APIs, one with `rate_limit` or `quota` limits them, one without partitions
//! does all of it. An API that only limits name stays closed, which is why a plan without its product opens nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::definition::{AccessRight, Limit, Policy};

/// The loaded policies by id.
pub(super) type Policies = BTreeMap<String, Policy>;

/// Why policies cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApplyError {
    #[error("policy not found: {0:?}")]
    NotFound(String),
    #[error("attempting to apply policy from different organisation to key, skipping")]
    ForeignOrganisation,
    #[error("cannot apply policy {0} which has per_api and any of partitions set")]
    PerApiWithPartitions(String),
    #[error("cannot apply multiple policies when some have per_api set and some are partitioned")]
    Mixed,
    #[error("key has no valid policies to be applied")]
    NothingOpened,
}

/// What a caller may do.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Session {
    /// For APIs that nothing else limits.
    pub(super) limit: Limit,
    pub(super) rights: BTreeMap<String, Right>,
    pub(super) inactive: bool,
}

/// What a caller may do with one API.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Right {
    pub(super) versions: BTreeSet<String>,
    pub(super) limit: Limit,
    /// Splits the caller's buckets; empty where all APIs share them.
    pub(super) allowance_scope: String,
    opened: bool,
    opened_by: String,
    rated: bool,
    counted: bool,
}

impl Session {
    /// Applies `ids` to a session that stands as the policies before left it.
    pub(super) fn apply(
        &self,
        ids: &[String],
        policies: &Policies,
        org_id: &str,
    ) -> Result<Self, ApplyError> {
        let mut merge = Merge {
            session_limit: self.cleared(ids, policies),
            ..Merge::default()
        };
        let mut inactive = false;
        for id in ids {
            let Some(policy) = policies.get(id) else {
                // One stale entry among several must not lock the caller out.
                if ids.len() > 1 {
                    continue;
                }
                return Err(ApplyError::NotFound(id.clone()));
            };
            if policy.org_id != org_id {
                return Err(ApplyError::ForeignOrganisation);
            }
            if policy.partitions.per_api {
                merge.per_api(policy)?;
            } else {
                merge.partitioned(policy)?;
            }
            inactive |= policy.is_inactive;
        }
        let (limit, rights) = merge.finish();
        if rights.is_empty() {
            return Err(ApplyError::NothingOpened);
        }
        Ok(Self {
            limit,
            rights,
            inactive,
        })
    }

    /// Forgets what the coming policies set, so that theirs is not measured against it.
    fn cleared(&self, ids: &[String], policies: &Policies) -> Limit {
        let mut limit = self.limit;
        for partitions in ids
            .iter()
            .filter_map(|id| policies.get(id))
            .map(|policy| policy.partitions)
        {
            if partitions.quota || !partitions.any() {
                limit.quota_max = 0;
            }
            if partitions.rate_limit || !partitions.any() {
                (limit.rate, limit.per) = (0.0, 0.0);
            }
        }
        limit
    }
}

#[derive(Default)]
struct Merge {
    session_limit: Limit,
    rights: BTreeMap<String, Right>,
    did_per_api: bool,
    did_partition: bool,
}

impl Merge {
    fn partitioned(&mut self, policy: &Policy) -> Result<(), ApplyError> {
        let (parts, all) = (policy.partitions, !policy.partitions.any());
        if !all && self.did_per_api {
            return Err(ApplyError::Mixed);
        }
        for (api_id, access) in &policy.access_rights {
            let right = self.rights.entry(api_id.clone()).or_default();
            if all || parts.acl {
                right.opened = true;
                right.opened_by.clone_from(&policy.id);
                right.versions.extend(access.versions.iter().cloned());
            }
            if all || parts.quota {
                right.counted = true;
                raise_quota(&mut right.limit, &policy.limit);
                raise_quota(&mut self.session_limit, &policy.limit);
            }
            if all || parts.rate_limit {
                right.rated = true;
                raise_rate(&mut right.limit, &policy.limit);
                raise_rate(&mut self.session_limit, &policy.limit);
            }
        }
        self.did_partition = !all;
        Ok(())
    }

    fn per_api(&mut self, policy: &Policy) -> Result<(), ApplyError> {
        if policy.partitions.any() {
            return Err(ApplyError::PerApiWithPartitions(policy.id.clone()));
        }
        if self.did_partition {
            return Err(ApplyError::Mixed);
        }
        for (api_id, access) in &policy.access_rights {
            let own_limit = access.limit != Limit::default();
            let scope = if own_limit { api_id } else { &policy.id };
            let limit = if own_limit {
                access.limit
            } else {
                policy.limit
            };
            self.open_per_api(api_id, access, limit, scope);
            self.did_per_api = true;
        }
        Ok(())
    }

    fn open_per_api(&mut self, api_id: &str, access: &AccessRight, limit: Limit, scope: &str) {
        let right = self.rights.entry(api_id.to_owned()).or_default();
        right.versions = access.versions.iter().cloned().collect();
        raise_quota(&mut right.limit, &limit);
        raise_rate(&mut right.limit, &limit);
        scope.clone_into(&mut right.allowance_scope);
        scope.clone_into(&mut right.opened_by);
        (right.opened, right.rated, right.counted) = (true, true, true);
    }

    /// Closes what nobody opened; what nobody limited inherits from the session.
    fn finish(mut self) -> (Limit, BTreeMap<String, Right>) {
        let openers: BTreeSet<String> = self
            .rights
            .values()
            .map(|right| right.opened_by.clone())
            .filter(|id| !id.is_empty())
            .collect();
        self.rights.retain(|_, right| right.opened);
        for right in self.rights.values_mut() {
            if !right.rated {
                (right.limit.rate, right.limit.per) =
                    (self.session_limit.rate, self.session_limit.per);
            }
            if !right.counted {
                right.limit.quota_max = self.session_limit.quota_max;
                right.limit.quota_renewal_rate = self.session_limit.quota_renewal_rate;
            }
            if openers.len() > 1 && right.allowance_scope.is_empty() {
                right.allowance_scope.clone_from(&right.opened_by);
            }
        }
        (self.session_limit, self.rights)
    }
}

/// The faster rate wins; an empty one never does.
fn raise_rate(limit: &mut Limit, by: &Limit) {
    let empty = |limit: &Limit| limit.rate == 0.0 || limit.per == 0.0;
    if !empty(by) && (empty(limit) || limit.per / limit.rate > by.per / by.rate) {
        (limit.rate, limit.per) = (by.rate, by.per);
    }
}

/// The larger quota wins, and -1 is the largest; so does the longer renewal.
fn raise_quota(limit: &mut Limit, by: &Limit) {
    if by.quota_max == -1 || (limit.quota_max != -1 && by.quota_max > limit.quota_max) {
        limit.quota_max = by.quota_max;
    }
    limit.quota_renewal_rate = limit.quota_renewal_rate.max(by.quota_renewal_rate);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn policy(id: &str, apis: &[&str], partitions: &[&str], limits: [i64; 2]) -> (String, Policy) {
        let access: BTreeMap<&str, Value> = apis
            .iter()
            .map(|api| (*api, json!({"versions": ["Default"]})))
            .collect();
        let partitions: BTreeMap<&str, bool> =
            partitions.iter().map(|part| (*part, true)).collect();
        let policy = json!({
            "id": id, "org_id": "org", "access_rights": access, "partitions": partitions,
            "rate": limits[0], "per": 60, "quota_max": limits[1], "quota_renewal_rate": 3600,
        });
        (id.to_owned(), serde_json::from_value(policy).unwrap())
    }

    fn policies() -> Policies {
        Policies::from_iter([
            policy("noop", &["noop-api"], &[], [2, 10]),
            policy("prod", &["pay"], &["acl"], [99, 99]),
            policy("prod2", &["ship"], &["acl"], [99, 99]),
            policy("plan", &["pay", "ship"], &["rate_limit", "quota"], [5, 100]),
            policy("gold", &["pay", "ship"], &["rate_limit", "quota"], [50, -1]),
            policy("whole", &["pay"], &[], [7, 70]),
            policy("each", &["pay"], &["per_api"], [8, 80]),
            policy("broken", &["pay"], &["per_api", "acl"], [8, 80]),
        ])
    }

    fn apply(ids: &[&str]) -> Result<Session, ApplyError> {
        let policies = policies();
        let base = Session::default().apply(&["noop".to_owned()], &policies, "org")?;
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        base.apply(&ids, &policies, "org")
    }

    fn limits(session: &Session, api: &str) -> (f64, i64) {
        (
            session.rights[api].limit.rate,
            session.rights[api].limit.quota_max,
        )
    }

    #[test]
    fn product_and_plan_open_only_what_both_name() {
        let session = apply(&["plan", "prod"]).unwrap();
        assert_eq!(session.rights.keys().collect::<Vec<_>>(), ["pay"]);
        assert_eq!(limits(&session, "pay"), (5.0, 100));
        assert_eq!(
            session.rights["pay"].allowance_scope, "",
            "one product: one bucket for all"
        );
    }

    #[test]
    fn a_product_alone_has_the_limits_of_the_default_policy() {
        assert_eq!(limits(&apply(&["prod"]).unwrap(), "pay"), (2.0, 10));
    }

    #[test]
    fn a_plan_alone_opens_nothing() {
        assert_eq!(apply(&["plan"]), Err(ApplyError::NothingOpened));
    }

    #[test]
    fn of_two_plans_the_larger_limits_win() {
        assert_eq!(
            limits(&apply(&["prod", "gold", "plan"]).unwrap(), "pay"),
            (50.0, -1)
        );
    }

    #[test]
    fn two_products_have_buckets_of_their_own() {
        let session = apply(&["prod", "prod2", "plan"]).unwrap();
        assert_eq!(session.rights["pay"].allowance_scope, "prod");
        assert_eq!(session.rights["ship"].allowance_scope, "prod2");
    }

    #[test]
    fn a_stale_policy_is_skipped_unless_it_is_the_only_one() {
        assert_eq!(
            limits(&apply(&["gone", "prod", "plan"]).unwrap(), "pay"),
            (5.0, 100)
        );
        assert_eq!(
            apply(&["gone"]),
            Err(ApplyError::NotFound("gone".to_owned()))
        );
    }

    #[test]
    fn a_policy_without_partitions_is_enough_by_itself() {
        assert_eq!(limits(&apply(&["whole"]).unwrap(), "pay"), (7.0, 70));
    }

    #[test]
    fn per_api_cannot_be_combined() {
        assert_eq!(limits(&apply(&["each"]).unwrap(), "pay"), (8.0, 80));
        assert_eq!(
            apply(&["broken"]),
            Err(ApplyError::PerApiWithPartitions("broken".to_owned()))
        );
        assert_eq!(apply(&["prod", "each"]), Err(ApplyError::Mixed));
        assert_eq!(apply(&["each", "prod"]), Err(ApplyError::Mixed));
    }

    #[test]
    fn a_policy_of_another_organisation_is_refused() {
        let refused = Session::default().apply(&["whole".to_owned()], &policies(), "other");
        assert_eq!(refused, Err(ApplyError::ForeignOrganisation));
    }
}
