//! The Dashboard's registry of client identity providers (from 5.14). Where it is there, keys and scopes of a provider
//! are written to a record of Portico's own in it, and not into definitions. The driver sees both as one. Pure.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::{definition, text};

/// How the ids of Portico's records begin.
const OURS: &str = "portico-";

/// Its records; none where there is no registry.
#[derive(Debug, Clone)]
pub(super) struct Registry {
    there: bool,
    records: Vec<Value>,
}

/// What is to be written.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// A record that is not there yet.
    pub(super) create: Option<Value>,
    /// Records whose scope claim is another now, by id.
    pub(super) replace: Vec<(String, Value)>,
    /// The mapping of the API, by record; `None`: it goes.
    pub(super) mappings: Vec<(String, Option<Map<String, Value>>)>,
}

fn id(record: &Value) -> &str {
    text(record, "client_idp_id")
}

/// The record for the keys at an address; always the same.
fn id_for(jwks_uri: &str) -> String {
    let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, jwks_uri.as_bytes());
    format!("{OURS}{id}")
}

fn mapping_of<'a>(record: &'a Value, api: &str) -> Option<&'a Map<String, Value>> {
    record["api_mappings"][api]["scope_to_policy"].as_object()
}

impl Registry {
    pub(super) fn absent() -> Self {
        Self {
            there: false,
            records: Vec::new(),
        }
    }

    /// From the answer to a listing, wrapped or not.
    pub(super) fn of(answer: &Value) -> Self {
        let wrapped = answer.as_object().into_iter().flatten();
        let records = answer
            .as_array()
            .or_else(|| wrapped.filter_map(|(_, value)| value.as_array()).next());
        Self {
            there: true,
            records: records.cloned().unwrap_or_default(),
        }
    }

    /// Portico's record that maps an API. One API takes the keys of one provider.
    fn record_of(&self, api: &str) -> Option<&Value> {
        let ours = self
            .records
            .iter()
            .filter(|record| id(record).starts_with(OURS));
        let mut mapping = ours.filter(|record| mapping_of(record, api).is_some());
        mapping.next()
    }

    /// The definition with what Portico's record says of the API.
    pub(super) fn seen(&self, mut definition: Value) -> Value {
        let api = text(&definition, "api_id").to_owned();
        let Some(record) = self.record_of(&api) else {
            return definition;
        };
        if definition::key_source(&definition).is_empty() {
            definition["jwt_source"] = BASE64_STANDARD.encode(text(record, "jwks_uri")).into();
        }
        let mut entries: Map<String, Value> = definition::mapping(&definition)
            .into_iter()
            .map(|(scope, policy)| (scope, policy.into()))
            .collect();
        entries.extend(mapping_of(record, &api).cloned().unwrap_or_default());
        let claim = match text(record, "scope_claim_name") {
            "" => definition::scope_claim(&definition).to_owned(),
            claim => claim.to_owned(),
        };
        if !definition["scopes"].is_object() {
            definition["scopes"] = json!({});
        }
        definition["scopes"]["jwt"] =
            json!({"scope_claim_name": claim, "scope_to_policy": entries});
        definition
    }

    /// What of a definition is to be stored as such, and what in the registry. `stored` is as it was.
    pub(super) fn stored(&self, api: &str, stored: &Value, wanted: Value) -> (Value, Plan) {
        if !self.there {
            return (wanted, Plan::default());
        }
        let wanted_entries = definition::mapping(&wanted);
        let stored_entries = definition::mapping(stored);
        // What a definition said before stays there as long as it is wanted so; all else is the registry's.
        let stays = |scope: &String, policy: &String| stored_entries.get(scope) == Some(policy);
        let (there, here): (BTreeMap<_, _>, BTreeMap<_, _>) = wanted_entries
            .iter()
            .partition(|(scope, policy)| stays(scope, policy));
        let mut definition = wanted.clone();
        for member in ["scopes", "jwt_source"] {
            match stored.get(member) {
                Some(value) => definition[member] = value.clone(),
                None => {
                    definition
                        .as_object_mut()
                        .map(|members| members.remove(member));
                }
            }
        }
        if there.len() != stored_entries.len() {
            definition["scopes"]["jwt"]["scope_to_policy"] = json!(there);
        }
        let claim = definition::scope_claim(&wanted);
        let entries: Map<String, Value> = here
            .into_iter()
            .map(|(scope, policy)| (scope.clone(), policy.clone().into()))
            .collect();
        let plan = self.plan(api, &definition::key_source(&wanted), claim, entries);
        (definition, plan)
    }

    fn plan(&self, api: &str, jwks_uri: &str, claim: &str, entries: Map<String, Value>) -> Plan {
        let mut plan = Plan::default();
        let target = id_for(jwks_uri);
        if let Some(before) = self.record_of(api).filter(|record| id(record) != target) {
            plan.mappings.push((id(before).to_owned(), None));
        }
        let record = self.records.iter().find(|record| id(record) == target);
        let before = record.and_then(|record| mapping_of(record, api));
        if entries.is_empty() {
            if before.is_some() {
                plan.mappings.push((target, None));
            }
            return plan;
        }
        match record {
            None => {
                plan.create = Some(json!({
                    "client_idp_id": target,
                    "name": format!("Portico: {jwks_uri}"),
                    "jwks_uri": jwks_uri,
                    "scope_claim_name": claim,
                    "api_mappings": {},
                }));
            }
            Some(record) if text(record, "scope_claim_name") != claim => {
                let mut record = record.clone();
                record["scope_claim_name"] = claim.into();
                plan.replace.push((target.clone(), record));
            }
            Some(_) => {}
        }
        if before != Some(&entries) {
            plan.mappings.push((target, Some(entries)));
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWKS: &str = "https://id.example/certs";

    fn api() -> Value {
        json!({"api_id": "pay", "enable_jwt": true})
    }

    fn wanted(entries: &Value) -> Value {
        let mut api = api();
        api["jwt_source"] = BASE64_STANDARD.encode(JWKS).into();
        api["scopes"] = json!({"jwt": {"scope_claim_name": "scope", "scope_to_policy": entries}});
        api
    }

    fn record(entries: &Value) -> Value {
        json!({
            "client_idp_id": id_for(JWKS), "jwks_uri": JWKS, "scope_claim_name": "scope",
            "api_mappings": {"pay": {"scope_to_policy": entries}},
        })
    }

    #[test]
    fn scopes_go_into_a_record_of_its_own() {
        let registry = Registry::of(&json!([]));
        let entries = json!({"a": "p"});
        let (definition, plan) = registry.stored("pay", &api(), wanted(&entries));
        assert_eq!(definition, api(), "nothing of it in the definition");
        assert_eq!(plan.create.unwrap()["jwks_uri"], JWKS);
        assert_eq!(
            plan.mappings,
            [(id_for(JWKS), entries.as_object().cloned())]
        );
    }

    #[test]
    fn what_is_seen_is_what_was_wanted_and_writes_nothing_more() {
        let entries = json!({"a": "p"});
        let registry = Registry::of(&json!({"data": [record(&entries)]}));
        let seen = registry.seen(api());
        assert_eq!(
            definition::mapping(&seen),
            definition::mapping(&wanted(&entries))
        );
        assert_eq!(definition::key_source(&seen), JWKS);
        let (definition, plan) = registry.stored("pay", &api(), seen);
        assert_eq!((definition, plan), (api(), Plan::default()));
    }

    #[test]
    fn the_last_entry_takes_the_mapping_with_it() {
        let registry = Registry::of(&json!([record(&json!({"a": "p"}))]));
        let (_, plan) = registry.stored("pay", &api(), wanted(&json!({})));
        assert_eq!(plan.mappings, [(id_for(JWKS), None)]);
    }

    #[test]
    fn entries_of_the_definition_and_records_of_others_stay() {
        let mut stored = api();
        stored["scopes"] = json!({"jwt": {"scope_to_policy": {"theirs": "t"}}});
        let theirs = json!({
            "client_idp_id": "theirs", "jwks_uri": JWKS, "api_mappings": {"pay": {"scope_to_policy": {"x": "y"}}},
        });
        let registry = Registry::of(&json!([theirs]));
        assert_eq!(registry.seen(stored.clone()), stored);
        let both = wanted(&json!({"theirs": "t", "a": "p"}));
        let (definition, plan) = registry.stored("pay", &stored, both);
        assert_eq!(definition["scopes"], stored["scopes"]);
        let ours = json!({"a": "p"});
        assert_eq!(plan.mappings, [(id_for(JWKS), ours.as_object().cloned())]);
    }

    #[test]
    fn without_a_registry_definitions_are_written() {
        let wanted = wanted(&json!({"a": "p"}));
        let (definition, plan) = Registry::absent().stored("pay", &api(), wanted.clone());
        assert_eq!((definition, plan), (wanted, Plan::default()));
    }
}
