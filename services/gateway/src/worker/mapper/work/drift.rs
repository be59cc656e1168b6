//! What is not at a gateway as Portico wrote it.

use super::super::MappingFailure;
use super::{Failures, Work};
use crate::gateways::{ApiChanges, Change, Failure, Owned, PolicyState, Wanted};

/// One thing that is otherwise than Portico made it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Drift {
    pub(crate) kind: &'static str,
    /// The API, or the policy.
    pub(crate) subject: String,
    /// The scope, or the member.
    pub(crate) member: String,
    pub(crate) wanted: String,
    pub(crate) found: String,
    /// Whether a repair is possible; otherwise somebody must do something.
    pub(crate) repairable: bool,
}

impl Work<'_> {
    /// What is not as it should be. Writes nothing.
    pub(in crate::worker::mapper) async fn drift(self) -> Result<Vec<Drift>, MappingFailure> {
        let mut failures = Failures::new();
        let apis = self.wanted_apis(&self.due(), &mut failures).await?;
        let (driver, session) = (self.driver()?, self.session());
        let policies = self.policies_of(&apis);
        let states = driver.compare_policies(&session, &policies).await;
        let mut drift = Vec::new();
        for (policy, state) in states {
            match state {
                Ok(state) => drift.extend(of_policy(&policy, state)),
                Err(failure) => drift.push(unknown(&policy, &failure)),
            }
        }
        let wanted = Wanted {
            policies: Vec::new(),
            apis,
        };
        for (api, planned) in driver.plan(&session, &wanted).await {
            match planned {
                Ok(changes) => {
                    drift.extend(of_api(&api, self.owned(&api), &changes));
                    drift.extend(changes.stale.iter().map(of_stale));
                }
                Err(failure) => drift.push(unknown(&api, &failure)),
            }
        }
        drift.extend(failures.iter().map(|(api, failure)| unknown(api, failure)));
        drift.extend(self.missing_keys().await?);
        Ok(drift)
    }
}

fn of_policy(policy: &str, state: PolicyState) -> Option<Drift> {
    let (kind, members) = match state {
        PolicyState::AsWanted => return None,
        PolicyState::Missing => ("policy_missing", String::new()),
        PolicyState::Differs(members) => ("policy_changed", members.join(", ")),
    };
    Some(Drift {
        kind,
        subject: policy.to_owned(),
        member: members,
        wanted: "as Portico made it".to_owned(),
        repairable: true,
        ..Drift::default()
    })
}

/// Nobody but an admin knows what it should say.
fn of_stale((scope, policy): (&String, &String)) -> Drift {
    Drift {
        kind: "policy_missing",
        subject: policy.clone(),
        member: scope.clone(),
        wanted: "a policy that Portico did not make".to_owned(),
        ..Drift::default()
    }
}

fn of_api(api: &str, owned: &Owned, changes: &ApiChanges) -> impl Iterator<Item = Drift> {
    changes.changes.iter().map(move |change| {
        let (kind, member, wanted, found) = match change {
            Change::Add { scope, policy } => {
                let kind = match owned.entries.contains_key(scope) {
                    true => "mapping_missing",
                    false => "mapping_not_written",
                };
                (kind, scope.clone(), policy.clone(), String::new())
            }
            Change::Replace {
                scope,
                policy,
                before,
            } => (
                "mapping_changed",
                scope.clone(),
                policy.clone(),
                before.clone(),
            ),
            Change::Remove { scope } => {
                let policy = owned.entries.get(scope).cloned().unwrap_or_default();
                ("mapping_left_over", scope.clone(), String::new(), policy)
            }
            Change::Set {
                member,
                value,
                before,
            } => {
                let kind = match member.as_str() {
                    "jwt_source" => "key_source_changed",
                    _ => "api_changed",
                };
                (kind, member.clone(), value.clone(), before.clone())
            }
        };
        Drift {
            kind,
            subject: api.to_owned(),
            member,
            wanted,
            found,
            repairable: true,
        }
    })
}

/// What cannot be looked at, or is somebody else's now.
fn unknown(subject: &str, failure: &Failure) -> Drift {
    let kind = match failure.code.as_str() {
        "api_not_at_gateway" => "api_missing",
        "policy_not_at_gateway" => "policy_missing",
        "key_source_taken" => "key_source_changed",
        "scope_mapped_otherwise" => "mapping_taken",
        _ => "not_readable",
    };
    Drift {
        kind,
        subject: subject.to_owned(),
        found: failure.description.clone(),
        ..Drift::default()
    }
}
