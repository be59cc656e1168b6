//! Tyk policies that Portico makes. Pure.

use serde_json::{Map, Value, json};

use super::no_operation;
use crate::gateways::{Limit, NO_OPERATION, PolicyKind, PolicyState, WantedPolicy};

/// How people find out who made a policy.
pub(super) const TAG: &str = "portico";

/// Whether Portico made it.
pub(super) fn is_ours(policy: &Value) -> bool {
    policy["tags"]
        .as_array()
        .is_some_and(|tags| tags.iter().any(|tag| tag == TAG))
}

/// The policy with what is wanted in it, or `None` where `found` says it already. `apis` are ids with names.
pub(super) fn merge(
    found: Option<&Value>,
    wanted: &WantedPolicy,
    apis: &[(String, String)],
    org_id: &str,
) -> Option<Value> {
    let mut policy = found
        .filter(|policy| policy.is_object())
        .cloned()
        .unwrap_or_else(|| json!({"id": wanted.id, "tags": [TAG], "key_expires_in": 0}));
    let rights: Map<String, Value> = apis
        .iter()
        .map(|(id, name)| (id.clone(), right(id, name)))
        .collect();
    let mut set = |member: &str, value: Value| policy[member] = value;
    set("id", wanted.id.clone().into());
    set("name", wanted.name.clone().into());
    set("org_id", org_id.into());
    set("active", true.into());
    set("is_inactive", false.into());
    match wanted.kind {
        PolicyKind::NoOperation => {
            let right = right(NO_OPERATION, no_operation::NAME);
            set("access_rights", json!({NO_OPERATION: right}));
            set("partitions", json!({}));
            let (rate, quota) = no_operation::LIMITS;
            limits(&mut policy, Some(rate), Some(quota));
        }
        PolicyKind::Product => {
            set("partitions", json!({"acl": true}));
            set("access_rights", Value::Object(rights));
        }
        PolicyKind::Plan { rate, quota } => {
            // It must name every API of every product that it is taken with, and
            // opens none, so what it names is only ever added to.
            let mut all = found
                .and_then(|policy| policy["access_rights"].as_object())
                .cloned();
            all.get_or_insert_default().extend(rights);
            set("access_rights", Value::Object(all.unwrap_or_default()));
            set("partitions", json!({"rate_limit": true, "quota": true}));
            limits(&mut policy, rate, quota);
        }
    }
    (found != Some(&policy)).then_some(policy)
}

fn right(id: &str, name: &str) -> Value {
    json!({"api_id": id, "api_name": name, "versions": ["Default"]})
}

/// How a policy stands, by what is there and what [`merge`] makes of it.
pub(super) fn state(found: Option<&Value>, merged: Option<&Value>) -> PolicyState {
    match (found, merged) {
        (_, None) => PolicyState::AsWanted,
        (None, Some(_)) => PolicyState::Missing,
        (Some(found), Some(merged)) => {
            let members = merged.as_object().into_iter().flatten();
            let differ = members.filter(|(name, value)| found.get(*name) != Some(*value));
            PolicyState::Differs(differ.map(|(name, _)| name.clone()).collect())
        }
    }
}

/// To Tyk -1 is no limit. A rate of 0 would be no statement at all, and the limits of the default policy would hold.
fn limits(policy: &mut Value, rate: Option<Limit>, quota: Option<Limit>) {
    policy["rate"] = rate.map_or(json!(-1), |rate| json!(rate.requests));
    policy["per"] = json!(rate.map_or(60, |rate| rate.seconds));
    policy["quota_max"] = quota.map_or(json!(-1), |quota| json!(quota.requests));
    policy["quota_renewal_rate"] = json!(quota.map_or(0, |quota| quota.seconds));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(kind: PolicyKind) -> WantedPolicy {
        WantedPolicy {
            id: "p".into(),
            name: "Payments".into(),
            api_ids: Vec::new(),
            kind,
        }
    }

    fn apis(ids: &[&str]) -> Vec<(String, String)> {
        ids.iter()
            .map(|id| ((*id).to_owned(), format!("{id} API")))
            .collect()
    }

    const RATE: Limit = Limit {
        requests: 5,
        seconds: 60,
    };
    const QUOTA: Limit = Limit {
        requests: 100,
        seconds: 3600,
    };

    #[test]
    fn a_products_policy_opens_and_a_plans_limits() {
        let product = merge(None, &wanted(PolicyKind::Product), &apis(&["a"]), "org").unwrap();
        let right = json!({"a": {"api_id": "a", "api_name": "a API", "versions": ["Default"]}});
        assert_eq!(
            product,
            json!({
                "id": "p", "name": "Payments", "org_id": "org", "active": true, "is_inactive": false,
                "tags": ["portico"], "key_expires_in": 0,
                "partitions": {"acl": true}, "access_rights": right,
            })
        );
        let kind = PolicyKind::Plan {
            rate: Some(RATE),
            quota: Some(QUOTA),
        };
        let plan = merge(None, &wanted(kind), &apis(&["a"]), "org").unwrap();
        assert_eq!(
            plan["partitions"],
            json!({"rate_limit": true, "quota": true})
        );
        assert_eq!(
            [
                &plan["rate"],
                &plan["per"],
                &plan["quota_max"],
                &plan["quota_renewal_rate"]
            ],
            [&json!(5), &json!(60), &json!(100), &json!(3600)]
        );
    }

    #[test]
    fn the_default_policy_is_never_unlimited() {
        let policy = merge(None, &wanted(PolicyKind::NoOperation), &apis(&["a"]), "org").unwrap();
        assert!(policy["rate"].as_u64().unwrap() > 0 && policy["per"].as_u64().unwrap() > 0);
        assert!(policy["quota_max"].as_u64().unwrap() > 0);
        let opened = policy["access_rights"].as_object().unwrap();
        assert_eq!(opened.keys().collect::<Vec<_>>(), [NO_OPERATION]);
        assert_eq!(no_operation::api("org")["use_keyless"], false);
    }

    #[test]
    fn no_limit_is_said_and_not_left_to_the_default_policy() {
        let kind = PolicyKind::Plan {
            rate: None,
            quota: None,
        };
        let plan = merge(None, &wanted(kind), &apis(&["a"]), "org").unwrap();
        assert_eq!((&plan["rate"], &plan["per"]), (&json!(-1), &json!(60)));
        assert_eq!(plan["quota_max"], json!(-1));
    }

    #[test]
    fn the_same_again_is_no_change() {
        for kind in [
            PolicyKind::Product,
            PolicyKind::Plan {
                rate: Some(RATE),
                quota: None,
            },
        ] {
            let wanted = wanted(kind);
            let policy = merge(None, &wanted, &apis(&["a", "b"]), "org").unwrap();
            assert_eq!(
                merge(Some(&policy), &wanted, &apis(&["a", "b"]), "org"),
                None
            );
        }
    }

    #[test]
    fn what_somebody_changed_is_named() {
        let wanted = wanted(PolicyKind::Plan {
            rate: Some(RATE),
            quota: Some(QUOTA),
        });
        let policy = merge(None, &wanted, &apis(&["a"]), "org").unwrap();
        assert_eq!(state(None, Some(&policy)), PolicyState::Missing);
        assert_eq!(state(Some(&policy), None), PolicyState::AsWanted);
        let mut edited = policy.clone();
        edited["rate"] = json!(1000);
        edited["is_inactive"] = true.into();
        let merged = merge(Some(&edited), &wanted, &apis(&["a"]), "org");
        assert_eq!(merged.as_ref(), Some(&policy));
        let differs = PolicyState::Differs(vec!["is_inactive".into(), "rate".into()]);
        assert_eq!(state(Some(&edited), merged.as_ref()), differs);
    }

    #[test]
    fn a_product_may_lose_an_api_a_plan_only_gains() {
        let product = wanted(PolicyKind::Product);
        let policy = merge(None, &product, &apis(&["a", "b"]), "org").unwrap();
        let policy = merge(Some(&policy), &product, &apis(&["b"]), "org").unwrap();
        assert!(policy["access_rights"]["a"].is_null());

        let plan = wanted(PolicyKind::Plan {
            rate: Some(RATE),
            quota: None,
        });
        let policy = merge(None, &plan, &apis(&["a"]), "org").unwrap();
        let policy = merge(Some(&policy), &plan, &apis(&["b"]), "org").unwrap();
        let named = policy["access_rights"].as_object().unwrap();
        assert_eq!(named.keys().collect::<Vec<_>>(), ["a", "b"]);
    }
}
