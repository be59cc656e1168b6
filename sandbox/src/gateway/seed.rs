//! API definitions and policies as Tyk's documentation has them, for the demo and the tests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The organisation of everything seeded here.
pub const ORG: &str = "sandbox";
/// The id of the No-Operation API.
pub const NO_OPERATION_API: &str = "noop";
/// The id of the No-Operation policy, the default policy of every API here.
pub const NO_OPERATION_POLICY: &str = "noop";

/// Rates and quotas of a plan; zero or less is no limit.
#[derive(Clone, Copy, Debug)]
pub struct PlanLimits {
    /// Requests in `per` seconds.
    pub rate: u32,
    /// Seconds in which `rate` calls are allowed.
    pub per: u32,
    /// Requests in `quota_renewal_rate` seconds.
    pub quota_max: i64,
    /// Seconds after which the quota starts anew.
    pub quota_renewal_rate: i64,
}

/// A JWT-protected API as an administrator of the gateway makes it before Portico
/// knows it: no key source, no `pol`, no scope mapping.
#[must_use]
pub fn api(id: &str, name: &str, listen_path: &str, target_url: &str) -> Value {
    json!({
        "api_id": id,
        "name": name,
        "org_id": ORG,
        "active": true,
        "use_keyless": false,
        "enable_jwt": true,
        "jwt_signing_method": "rsa",
        "jwt_identity_base_field": "sub",
        "jwt_default_policies": [NO_OPERATION_POLICY],
        "strip_auth_data": true,
        "version_data": {"not_versioned": true, "versions": {"Default": {"name": "Default"}}},
        "proxy": {"listen_path": listen_path, "target_url": target_url, "strip_listen_path": true},
    })
}

/// The definition with what Portico fills in: the provider's keys, `pol` and the mapping of scopes to policies.
#[must_use]
pub fn connected(mut api: Value, jwks_url: &str, scope_to_policy: &[(&str, &str)]) -> Value {
    let mapping: Map<String, Value> = scope_to_policy
        .iter()
        .map(|(scope, policy)| ((*scope).to_owned(), Value::from(*policy)))
        .collect();
    api["jwt_source"] = STANDARD.encode(jwks_url).into();
    api["jwt_policy_field_name"] = "pol".into();
    api["scopes"] = json!({"jwt": {"scope_claim_name": "scope", "scope_to_policy": mapping}});
    api
}

/// The API that the No-Operation policy opens. It leads nowhere.
#[must_use]
pub fn no_operation_api() -> Value {
    api(
        NO_OPERATION_API,
        "No operation",
        "/noop/",
        "http://127.0.0.1:9",
    )
}

/// The default policy: it opens nothing of use, and it is tight, because a token with
/// a product's scope and no plan's gets its limits.
#[must_use]
pub fn no_operation_policy() -> Value {
    let limits = PlanLimits {
        rate: 2,
        per: 60,
        quota_max: 20,
        quota_renewal_rate: 3600,
    };
    policy(
        NO_OPERATION_POLICY,
        "No operation",
        &[(NO_OPERATION_API, "No operation")],
        limits,
        &[],
    )
}

/// The policy of a product: it opens APIs, given as ids with names, and limits nothing.
#[must_use]
pub fn product_policy(id: &str, name: &str, apis: &[(&str, &str)]) -> Value {
    let unlimited = PlanLimits {
        rate: 0,
        per: 0,
        quota_max: -1,
        quota_renewal_rate: 0,
    };
    policy(id, name, apis, unlimited, &["acl"])
}

/// The policy of a plan: it limits the APIs of every product it is offered with, and opens none.
#[must_use]
pub fn plan_policy(id: &str, name: &str, apis: &[(&str, &str)], limits: PlanLimits) -> Value {
    policy(id, name, apis, limits, &["rate_limit", "quota"])
}

fn policy(
    id: &str,
    name: &str,
    apis: &[(&str, &str)],
    limits: PlanLimits,
    partitions: &[&str],
) -> Value {
    let access: Map<String, Value> = apis
        .iter()
        .map(|(api_id, api_name)| {
            let right = json!({"api_id": api_id, "api_name": api_name, "versions": ["Default"]});
            ((*api_id).to_owned(), right)
        })
        .collect();
    let partitions: Map<String, Value> = ["acl", "rate_limit", "quota", "complexity", "per_api"]
        .into_iter()
        .map(|name| (name.to_owned(), partitions.contains(&name).into()))
        .collect();
    json!({
        "id": id,
        "name": name,
        "org_id": ORG,
        "active": true,
        "state": "active",
        "access_rights": access,
        "partitions": partitions,
        "rate": limits.rate,
        "per": limits.per,
        "quota_max": limits.quota_max,
        "quota_renewal_rate": limits.quota_renewal_rate,
    })
}

/// An API that takes API keys instead of tokens.
#[must_use]
pub fn key_api(id: &str, name: &str, listen_path: &str, target_url: &str) -> Value {
    let mut api = api(id, name, listen_path, target_url);
    for member in [
        "enable_jwt",
        "jwt_signing_method",
        "jwt_identity_base_field",
        "jwt_default_policies",
    ] {
        api.as_object_mut().map(|members| members.remove(member));
    }
    api["use_standard_auth"] = true.into();
    api["auth"] = json!({"auth_header_name": "Authorization"});
    api
}
