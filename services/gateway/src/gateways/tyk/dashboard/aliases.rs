//! Ids of policies. A Dashboard without `allow_explicit_policy_id` chooses them itself; what Portico calls a policy
//! stands among its tags then. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{policy::TAG, text};

/// What Portico calls policies, and what the Dashboard calls them.
#[derive(Debug, Clone, Default)]
pub(super) struct Aliases {
    real: BTreeMap<String, String>,
    alias: BTreeMap<String, String>,
}

/// By which definitions name it.
fn real_id(policy: &Value) -> &str {
    match text(policy, "id") {
        "" => text(policy, "_id"),
        id => id,
    }
}

/// What Portico calls it, where it made it.
fn tagged(policy: &Value) -> Option<&str> {
    let tags: Vec<&str> = policy["tags"]
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let name = tags.iter().find(|tag| tag.starts_with("portico-"))?;
    tags.contains(&TAG).then_some(*name)
}

impl Aliases {
    pub(super) fn of(policies: &[Value]) -> Self {
        let mut aliases = Self::default();
        for policy in policies {
            let real = real_id(policy);
            if let Some(id) = tagged(policy).filter(|id| *id != real) {
                aliases.learn(id, real);
            }
        }
        aliases
    }

    pub(super) fn learn(&mut self, id: &str, real: &str) {
        if id != real {
            self.real.insert(id.to_owned(), real.to_owned());
            self.alias.insert(real.to_owned(), id.to_owned());
        }
    }

    pub(super) fn real<'a>(&'a self, id: &'a str) -> &'a str {
        self.real.get(id).map_or(id, String::as_str)
    }

    pub(super) fn alias_of(&self, policy: &Value) -> String {
        let real = real_id(policy);
        self.alias
            .get(real)
            .cloned()
            .unwrap_or_else(|| real.to_owned())
    }

    /// Puts Portico's ids into a definition.
    pub(super) fn seen(&self, definition: &mut Value) {
        each_policy(definition, &self.alias);
    }

    /// Puts the Dashboard's ids into a definition.
    pub(super) fn stored(&self, definition: &mut Value) {
        each_policy(definition, &self.real);
    }
}

/// Exchanges the ids of policies wherever a definition names them.
fn each_policy(definition: &mut Value, names: &BTreeMap<String, String>) {
    if names.is_empty() {
        return;
    }
    let exchange = |value: &mut Value| {
        if let Some(name) = value.as_str().and_then(|id| names.get(id)) {
            *value = name.clone().into();
        }
    };
    for pointer in [
        "/scopes/jwt/scope_to_policy",
        "/jwt_scope_to_policy_mapping",
    ] {
        let mapping = definition
            .pointer_mut(pointer)
            .and_then(Value::as_object_mut);
        mapping
            .into_iter()
            .flatten()
            .for_each(|(_, id)| exchange(id));
    }
    let defaults = definition
        .get_mut("jwt_default_policies")
        .and_then(Value::as_array_mut);
    defaults.into_iter().flatten().for_each(exchange);
}

/// A policy under the name that it was asked for by.
pub(super) fn seen_policy(mut policy: Value, id: &str) -> Value {
    policy["id"] = id.into();
    policy
}

/// Writes Portico's name among the tags of a policy that Portico made.
pub(super) fn mark(policy: &mut Value, id: &str) {
    if let Some(tags) = policy.get_mut("tags").and_then(Value::as_array_mut)
        && !tags.iter().any(|tag| tag == id)
    {
        tags.push(id.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_that_the_dashboard_chose_are_exchanged_both_ways() {
        let policies = [
            json!({"_id": "64af", "id": "", "tags": ["portico", "portico-plan-a"]}),
            json!({"_id": "64b0", "id": "portico-plan-b", "tags": ["portico", "portico-plan-b"]}),
            json!({"_id": "64b1", "tags": ["theirs", "portico-plan-c"]}),
        ];
        let aliases = Aliases::of(&policies);
        assert_eq!(aliases.real("portico-plan-a"), "64af");
        assert_eq!(aliases.real("portico-plan-b"), "portico-plan-b");
        assert_eq!(
            aliases.real("portico-plan-c"),
            "portico-plan-c",
            "not Portico's"
        );
        let stored = json!({
            "jwt_default_policies": ["64af"],
            "scopes": {"jwt": {"scope_to_policy": {"a": "64af", "x": "other"}}},
        });
        let mut seen = stored.clone();
        aliases.seen(&mut seen);
        assert_eq!(
            seen["scopes"]["jwt"]["scope_to_policy"],
            json!({"a": "portico-plan-a", "x": "other"})
        );
        assert_eq!(seen["jwt_default_policies"], json!(["portico-plan-a"]));
        aliases.stored(&mut seen);
        assert_eq!(seen, stored);
        assert_eq!(aliases.alias_of(&policies[0]), "portico-plan-a");
    }
}
