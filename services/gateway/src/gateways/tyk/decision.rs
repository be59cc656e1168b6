//! What the gateway says to a token whose signature is good, as Tyk's JWT middleware decides: which policies apply,
//! whether they can be combined, and whether what they open is this API. Pure.

mod merge;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{definition, text};
use crate::gateways::{Limit, ResolvedPolicy, Simulation};
use merge::{Merged, merge};

type Claims = Map<String, Value>;
type Policies = BTreeMap<String, Value>;

const NONE_FOUND: &str = "key not authorized: no matching policy found";

/// The policies that may take part: they are to be read before [`decide`].
pub(super) fn policies_of(api: &Value, claims: &Claims) -> Vec<String> {
    let mapped = mapped(api, claims).unwrap_or_default();
    let mut ids: Vec<String> = own(api, claims).into_iter().collect();
    ids.extend(defaults(api));
    ids.extend(mapped.into_iter().filter_map(|(_, policy)| policy));
    ids.sort();
    ids.dedup();
    ids
}

/// Signature, key and issuer are taken to be right.
pub(super) fn decide(api: &Value, policies: &Policies, claims: &Claims, now: i64) -> Simulation {
    let mut simulation = Simulation {
        notes: notes(api),
        ..Simulation::default()
    };
    match decided(api, policies, claims, now, &mut simulation) {
        Ok(merged) => {
            simulation.status = 200;
            let limit = |requests: f64, seconds: f64| {
                (requests >= 1.0 && seconds >= 1.0).then_some(Limit {
                    requests: requests as u64,
                    seconds: seconds as u64,
                })
            };
            let (rate, quota) = merged.unwrap_or_default();
            simulation.rate = limit(rate.0, rate.1);
            simulation.quota = limit(quota.0, quota.1);
        }
        Err((status, message)) => {
            simulation.status = status;
            simulation.message = message;
        }
    }
    simulation
}

type Limits = ((f64, f64), (f64, f64));
type Refusal = (u16, String);

fn decided(
    api: &Value,
    policies: &Policies,
    claims: &Claims,
    now: i64,
    simulation: &mut Simulation,
) -> Result<Option<Limits>, Refusal> {
    if api["use_keyless"] == true {
        return Ok(None);
    }
    if api["enable_jwt"] != true {
        return Err((401, "Authorization field missing".to_owned()));
    }
    check_time(claims, now)?;
    check_identity(api, claims)?;
    let own = own(api, claims);
    let base = base(api, own.as_deref(), policies, simulation)?;
    let merged = match mapped(api, claims) {
        None => base.ok_or_else(|| forbidden(NONE_FOUND))?,
        Some(mapped) => {
            let ids = applied(api, own.as_deref(), &mapped, policies, simulation);
            if ids.is_empty() {
                return Err(forbidden(&format!("{NONE_FOUND} in scope claim")));
            }
            let start = base.map(|base| base.session).unwrap_or_default();
            merge(start, &ids, policies, org(api)).map_err(|why| {
                simulation
                    .notes
                    .push(format!("The policies cannot be combined: {why}."));
                forbidden("key not authorized: could not apply several policies")
            })?
        }
    };
    for policy in &mut simulation.policies {
        let parts = merge::parts_at(policies.get(&policy.id), text(api, "api_id"));
        (policy.opens, policy.limits) = parts;
    }
    if merged.inactive {
        return Err(forbidden("Key is inactive, please renew"));
    }
    match merged.rights.get(text(api, "api_id")) {
        Some(right) if right.serves(version(api)) => Ok(Some(right.limits())),
        _ => Err(forbidden("Access to this API has been disallowed")),
    }
}

fn forbidden(message: &str) -> Refusal {
    (403, message.to_owned())
}

fn org(api: &Value) -> &str {
    text(api, "org_id")
}

/// The version that an access right must name; `None`: any.
fn version(api: &Value) -> Option<&str> {
    let data = &api["version_data"];
    if data["not_versioned"] == true {
        return None;
    }
    let named = text(data, "default_version");
    Some(if named.is_empty() { "Default" } else { named })
}

fn check_time(claims: &Claims, now: i64) -> Result<(), Refusal> {
    let time = |name: &str| claims.get(name).and_then(Value::as_f64);
    let now = now as f64;
    let wrong = if time("exp").is_some_and(|exp| exp <= now) {
        "token has expired"
    } else if time("iat").is_some_and(|iat| iat > now) {
        "token used before issued"
    } else if time("nbf").is_some_and(|nbf| nbf > now) {
        "token is not valid yet"
    } else {
        return Ok(());
    };
    Err((401, format!("Key not authorized: {wrong}")))
}

fn check_identity(api: &Value, claims: &Claims) -> Result<(), Refusal> {
    let names = [text(api, "jwt_identity_base_field"), "sub"];
    let found = names.iter().any(|name| {
        claim(claims, name).is_some_and(|value| value.as_str().is_some_and(|it| !it.is_empty()))
    });
    if found {
        Ok(())
    } else {
        Err(forbidden("no suitable claims for user ID were found"))
    }
}

/// Of a nested claim where the name has dots.
fn claim<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let mut names = name.split('.');
    let first = claims.get(names.next()?)?;
    names.try_fold(first, |value, name| value.get(name))
}

/// The policy that the token itself names.
fn own(api: &Value, claims: &Claims) -> Option<String> {
    let name = Some(text(api, "jwt_policy_field_name")).filter(|name| !name.is_empty())?;
    let policy = claim(claims, name)?.as_str()?;
    (!policy.is_empty()).then(|| policy.to_owned())
}

fn defaults(api: &Value) -> Vec<String> {
    super::http::texts(&api["jwt_default_policies"])
}

/// Each scope of the token with the policy that it leads to; `None` where scopes decide nothing: there is no mapping,
/// or the token has no scope claim.
fn mapped(api: &Value, claims: &Claims) -> Option<Vec<(String, Option<String>)>> {
    let mapping = definition::mapping(api);
    let scopes: Vec<String> = match claim(claims, definition::scope_claim(api))? {
        Value::String(text) => text.split(' ').map(str::to_owned).collect(),
        list @ Value::Array(_) => super::http::texts(list),
        _ => Vec::new(),
    };
    if scopes.is_empty() || mapping.is_empty() {
        return None;
    }
    let policy_of = |scope: String| {
        let policy = mapping.get(&scope).cloned();
        (scope, policy)
    };
    Some(scopes.into_iter().map(policy_of).collect())
}

/// What holds before any scope is looked at.
fn base(
    api: &Value,
    own: Option<&str>,
    policies: &Policies,
    simulation: &mut Simulation,
) -> Result<Option<Merged>, Refusal> {
    let (ids, because) = match own {
        Some(id) => (vec![id.to_owned()], "claim of the token"),
        None => (defaults(api), "default policy"),
    };
    let Some(first) = ids.first() else {
        simulation.notes.push(
            "The API has no default policy: before Tyk 5.11 it admits nobody by scopes.".to_owned(),
        );
        return Ok(None);
    };
    for id in &ids {
        let because = because.to_owned();
        simulation.policies.push(resolved(id, because, policies));
    }
    let known = policies.get(first).filter(|policy| org(policy) == org(api));
    let Some(known) = known else {
        return Err(forbidden("key not authorized: no matching policy"));
    };
    merge(merge::session_of(known), &ids, policies, org(api))
        .map(Some)
        .map_err(|why| (500, format!("failed to create key: {why}")))
}

/// The token's own policy comes with the mapped ones; the default policies do not.
fn applied(
    api: &Value,
    own: Option<&str>,
    mapped: &[(String, Option<String>)],
    policies: &Policies,
    simulation: &mut Simulation,
) -> Vec<String> {
    let mut ids: Vec<String> = own.map(str::to_owned).into_iter().collect();
    if own.is_none() && mapped.iter().any(|(_, policy)| policy.is_some()) {
        // Its limits remain where no other policy sets any, but it takes no part.
        simulation.policies.clear();
        let defaults = defaults(api).join(", ");
        if !defaults.is_empty() {
            let note = format!("Where no policy below limits, the limits of {defaults} hold.");
            simulation.notes.push(note);
        }
    }
    for (scope, policy) in mapped {
        match policy {
            None if scope.is_empty() => {}
            None => simulation.unmapped_scopes.push(scope.clone()),
            Some(id) => {
                let because = format!("scope {scope}");
                simulation.policies.push(resolved(id, because, policies));
                if !ids.contains(id) {
                    ids.push(id.clone());
                }
            }
        }
    }
    ids
}

fn resolved(id: &str, because: String, policies: &Policies) -> ResolvedPolicy {
    let found = policies.get(id);
    ResolvedPolicy {
        id: id.to_owned(),
        name: found
            .map(|policy| text(policy, "name").to_owned())
            .unwrap_or_default(),
        because,
        found: found.is_some(),
        ..ResolvedPolicy::default()
    }
}

fn notes(api: &Value) -> Vec<String> {
    let mut notes = Vec::new();
    if api["use_keyless"] == true {
        notes.push("The API is open to everybody; no token is looked at.".to_owned());
    } else if api["enable_jwt"] != true {
        notes.push("The API does not take tokens: `enable_jwt` is off.".to_owned());
    } else if definition::key_source(api).is_empty() {
        notes.push("The API has no source of keys, so it refuses every token.".to_owned());
    }
    if api["active"] == false {
        notes.push("The API is switched off.".to_owned());
    }
    notes
}
