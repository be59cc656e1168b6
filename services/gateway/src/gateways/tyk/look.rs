//! What is at a gateway, for people. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{definition, policy};
use crate::gateways::{FoundApi, FoundPolicy, Inventory, Limit, PolicyRole};

pub(super) fn inventory(apis: &[Value], policies: &[Value]) -> Inventory {
    let mut scopes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for api in apis {
        for (scope, policy) in definition::mapping(api) {
            scopes.entry(policy).or_default().insert(scope);
        }
    }
    Inventory {
        apis: apis.iter().filter_map(found_api).collect(),
        policies: policies
            .iter()
            .filter_map(|policy| found_policy(policy, &scopes))
            .collect(),
    }
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}

fn found_api(api: &Value) -> Option<FoundApi> {
    let api_id = Some(text(api, "api_id")).filter(|id| !id.is_empty())?;
    Some(FoundApi {
        api_id,
        name: text(api, "name"),
        listen_path: text(&api["proxy"], "listen_path"),
        keyless: api["use_keyless"] == true,
    })
}

/// The header that the API wants keys in, where it is not `Authorization`. `auth` is the older place.
pub(super) fn key_header(api: &Value) -> Option<String> {
    let newer = &api["auth_configs"]["authToken"];
    let config = if newer.is_object() {
        newer
    } else {
        &api["auth"]
    };
    let header = text(config, "auth_header_name");
    (!header.is_empty() && !header.eq_ignore_ascii_case("authorization")).then_some(header)
}

fn found_policy(
    policy: &Value,
    scopes: &BTreeMap<String, BTreeSet<String>>,
) -> Option<FoundPolicy> {
    let id = id(policy)?;
    let rights = policy["access_rights"].as_object();
    let (rate, quota) = limits(policy);
    Some(FoundPolicy {
        name: text(policy, "name"),
        role: role(policy),
        api_ids: rights
            .into_iter()
            .flatten()
            .map(|(id, _)| id.clone())
            .collect(),
        rate,
        quota,
        scopes: scopes.get(&id).into_iter().flatten().cloned().collect(),
        active: policy["is_inactive"] != true && policy["active"] != false,
        ours: policy::is_ours(policy),
        id,
    })
}

/// Databases call it `_id` where no other was chosen.
fn id(policy: &Value) -> Option<String> {
    ["id", "_id"]
        .iter()
        .map(|member| text(policy, member))
        .find(|id| !id.is_empty())
}

/// By its partitions; without any, a policy says everything.
fn role(policy: &Value) -> PolicyRole {
    let partitions = &policy["partitions"];
    let has = |partition: &str| partitions[partition] == true;
    let limits = has("rate_limit") || has("quota");
    match (has("per_api"), has("acl"), limits, has("complexity")) {
        (true, ..) => PolicyRole::Both,
        (_, true, false, _) => PolicyRole::Product,
        (_, false, true, _) => PolicyRole::Plan,
        (_, true, true, _) | (_, false, false, false) => PolicyRole::Both,
        (_, false, false, true) => PolicyRole::Other,
    }
}

/// Rate and quota. Zero and less are no limit.
pub(super) fn limits(policy: &Value) -> (Option<Limit>, Option<Limit>) {
    let limit = |requests: &str, seconds: &str| {
        // Tyk's rate is a number with a fraction.
        let number = |member: &str| policy[member].as_f64().filter(|number| *number >= 1.0);
        Some(Limit {
            requests: number(requests)? as u64,
            seconds: number(seconds)? as u64,
        })
    };
    (
        limit("rate", "per"),
        limit("quota_max", "quota_renewal_rate"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_policy_is_for_is_seen_by_its_partitions() {
        for (partitions, role) in [
            (json!({"acl": true}), PolicyRole::Product),
            (json!({"rate_limit": true}), PolicyRole::Plan),
            (
                json!({"quota": true, "rate_limit": true, "acl": false}),
                PolicyRole::Plan,
            ),
            (json!({"acl": true, "quota": true}), PolicyRole::Both),
            (json!({}), PolicyRole::Both),
            (Value::Null, PolicyRole::Both),
            (json!({"per_api": true}), PolicyRole::Both),
            (json!({"complexity": true}), PolicyRole::Other),
        ] {
            let policy = json!({"id": "p", "partitions": partitions});
            assert_eq!(super::role(&policy), role, "{policy}");
        }
    }

    #[test]
    fn keys_go_in_the_header_that_the_api_names() {
        for (api, header) in [
            (json!({}), None),
            (json!({"auth": {"auth_header_name": ""}}), None),
            (json!({"auth": {"auth_header_name": "authorization"}}), None),
            (
                json!({"auth": {"auth_header_name": "X-Api-Key"}}),
                Some("X-Api-Key"),
            ),
            (
                json!({"auth": {"auth_header_name": "Old"}, "auth_configs": {"authToken": {"auth_header_name": "New"}}}),
                Some("New"),
            ),
            (
                json!({"auth": {"auth_header_name": "Old"}, "auth_configs": {"jwt": {"auth_header_name": "New"}}}),
                Some("Old"),
            ),
        ] {
            assert_eq!(key_header(&api).as_deref(), header, "{api}");
        }
    }

    #[test]
    fn scopes_and_limits_come_along() {
        let api = json!({
            "api_id": "pay", "name": "Payments", "proxy": {"listen_path": "/pay/"},
            "scopes": {"jwt": {"scope_to_policy": {"a": "p", "b": "p", "c": "q"}}},
        });
        let policy = json!({
            "id": "p", "name": "P", "tags": ["portico"], "partitions": {"rate_limit": true, "quota": true},
            "access_rights": {"pay": {}}, "rate": 10, "per": 60, "quota_max": -1, "quota_renewal_rate": 3600,
        });
        let found = inventory(
            &[api],
            &[policy, json!({"_id": "q", "is_inactive": true}), json!({})],
        );
        assert_eq!(found.apis[0].listen_path, "/pay/");
        assert_eq!(found.policies.len(), 2);
        let first = &found.policies[0];
        assert_eq!(first.scopes, ["a", "b"]);
        assert_eq!(first.api_ids, ["pay"]);
        assert_eq!((first.rate.unwrap().requests, first.quota), (10, None));
        assert!(first.ours && first.active);
        assert_eq!(
            (found.policies[1].id.as_str(), found.policies[1].active),
            ("q", false)
        );
    }
}
