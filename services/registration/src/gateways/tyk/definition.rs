//! Merging into a Tyk API definition. Pure.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use crate::gateways::{ApiChanges, Change, Mapping, Owned, WantedApi};
use crate::providers::{Disposition, Failure};

/// Where the mapping is.
const MAPPING: &str = "scope_to_policy";

/// A definition with what is wanted in it.
#[derive(Debug, PartialEq)]
pub(super) struct Merged {
    pub(super) definition: Value,
    pub(super) changes: ApiChanges,
}

/// Puts what is wanted into a definition. All else in it stays as it is.
///
/// # Errors
/// What is there belongs to somebody else: always [`Disposition::Fail`].
pub(super) fn merge(
    definition: &Value,
    wanted: &WantedApi,
    default_policy_id: &str,
) -> Result<Merged, Failure> {
    let mut merging = Merging {
        definition: definition.clone(),
        changes: ApiChanges {
            owned: wanted.owned.clone(),
            ..ApiChanges::default()
        },
    };
    // Taking away needs no source of keys, and must not fail for want of one.
    if !wanted.entries.is_empty() {
        merging.protect(wanted, default_policy_id)?;
    }
    merging.map(wanted)?;
    Ok(Merged {
        definition: merging.definition,
        changes: merging.changes,
    })
}

/// The mapping that is in force: the older member is read only where `scopes` is
/// empty.
pub(super) fn mapping(definition: &Value) -> Mapping {
    let entries = if scopes_are_empty(definition) {
        &definition["jwt_scope_to_policy_mapping"]
    } else {
        &definition["scopes"]["jwt"][MAPPING]
    };
    entries
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(scope, policy)| Some((scope.clone(), policy.as_str()?.to_owned())))
        .collect()
}

/// The claim that scopes are read from.
pub(super) fn scope_claim(definition: &Value) -> &str {
    let named = if scopes_are_empty(definition) {
        text(definition, "jwt_scope_claim_name")
    } else {
        text(&definition["scopes"]["jwt"], "scope_claim_name")
    };
    if named.is_empty() { "scope" } else { named }
}

fn scopes_are_empty(definition: &Value) -> bool {
    ["jwt", "oidc"].iter().all(|kind| {
        let scope = &definition["scopes"][kind];
        text(scope, "scope_claim_name").is_empty()
            && scope[MAPPING].as_object().is_none_or(Map::is_empty)
    })
}

struct Merging {
    definition: Value,
    changes: ApiChanges,
}

impl Merging {
    /// Makes the API ask for tokens of the provider.
    fn protect(&mut self, wanted: &WantedApi, default_policy_id: &str) -> Result<(), Failure> {
        if self.definition["use_keyless"] == true {
            return Err(refused(
                "api_is_keyless",
                wanted,
                "is open to everybody: scopes would protect nothing. Switch its authentication on",
            ));
        }
        self.key_source(wanted)?;
        if self.definition["enable_jwt"] != true {
            self.set("enable_jwt", json!(true));
        }
        if text(&self.definition, "jwt_signing_method") != "rsa" {
            self.set("jwt_signing_method", json!("rsa"));
        }
        for (member, value) in [
            ("jwt_identity_base_field", "sub"),
            ("jwt_policy_field_name", "pol"),
        ] {
            if text(&self.definition, member).is_empty() {
                self.set(member, json!(value));
            }
        }
        // Before 5.11 an API with a mapping admits nobody without one.
        let has_default = self.definition["jwt_default_policies"]
            .as_array()
            .is_some_and(|policies| !policies.is_empty());
        if !has_default && !default_policy_id.is_empty() {
            self.set("jwt_default_policies", json!([default_policy_id]));
        }
        Ok(())
    }

    /// One API takes tokens of one provider; whoever uses another would be shut out.
    fn key_source(&mut self, wanted: &WantedApi) -> Result<(), Failure> {
        let found = key_source(&self.definition);
        if found == wanted.jwks_uri {
            return Ok(());
        }
        let made = &wanted.owned.jwks_uris;
        let restore = wanted.restore && made.contains(&wanted.jwks_uri);
        if !found.is_empty() && !made.contains(&found) && !restore {
            return Err(refused(
                "key_source_taken",
                wanted,
                "takes its keys from another provider already",
            ));
        }
        self.changes.changes.push(Change::Set {
            member: "jwt_source".into(),
            value: wanted.jwks_uri.clone(),
            before: found,
        });
        self.definition["jwt_source"] = BASE64_STANDARD.encode(&wanted.jwks_uri).into();
        self.changes.owned.jwks_uris.insert(wanted.jwks_uri.clone());
        Ok(())
    }

    fn map(&mut self, wanted: &WantedApi) -> Result<(), Failure> {
        let mut entries = mapping(&self.definition);
        let before = entries.clone();
        self.remove(wanted, &mut entries);
        self.add(wanted, &mut entries)?;
        if !wanted.entries.is_empty() {
            self.scope_claim(wanted, &before)?;
        }
        if entries != before {
            self.scopes()[MAPPING] = json!(entries);
        }
        Ok(())
    }

    /// Only what is still as Portico wrote it: a changed entry is somebody else's now.
    fn remove(&mut self, wanted: &WantedApi, entries: &mut Mapping) {
        for (scope, policy) in &wanted.owned.entries {
            if wanted.entries.contains_key(scope) {
                continue;
            }
            if entries.get(scope) == Some(policy) {
                entries.remove(scope);
                self.changes.changes.push(Change::Remove {
                    scope: scope.clone(),
                });
            }
            self.changes.owned.entries.remove(scope);
        }
    }

    fn add(&mut self, wanted: &WantedApi, entries: &mut Mapping) -> Result<(), Failure> {
        for (scope, policy) in &wanted.entries {
            let (scope, policy) = (scope.clone(), policy.clone());
            let is_owned = wanted.owned.entries.contains_key(&scope);
            let change = match entries.get(&scope) {
                Some(found) if *found == policy => {
                    if !is_owned {
                        self.changes.foreign.insert(scope, policy);
                    }
                    continue;
                }
                Some(found) if !is_owned => {
                    let why = format!("maps the scope {scope} to the policy {found} already");
                    return Err(refused("scope_mapped_otherwise", wanted, &why));
                }
                Some(found) => Change::Replace {
                    scope: scope.clone(),
                    policy: policy.clone(),
                    before: found.clone(),
                },
                None => Change::Add {
                    scope: scope.clone(),
                    policy: policy.clone(),
                },
            };
            self.changes.changes.push(change);
            self.changes
                .owned
                .entries
                .insert(scope.clone(), policy.clone());
            entries.insert(scope, policy);
        }
        Ok(())
    }

    /// Tyk reads the scopes from one claim; `scope` where none is named.
    fn scope_claim(&mut self, wanted: &WantedApi, before: &Mapping) -> Result<(), Failure> {
        let effective = scope_claim(&self.definition);
        let foreign = before
            .keys()
            .any(|scope| !wanted.owned.entries.contains_key(scope));
        if effective != wanted.scope_claim && foreign {
            let why = format!("reads scopes from the claim {effective}, and others rely on that");
            return Err(refused("scope_claim_taken", wanted, &why));
        }
        let in_scopes = text(&self.definition["scopes"]["jwt"], "scope_claim_name");
        if in_scopes != wanted.scope_claim {
            self.changes.changes.push(Change::Set {
                member: "scopes.jwt.scope_claim_name".into(),
                value: wanted.scope_claim.clone(),
                before: in_scopes.to_owned(),
            });
            self.scopes()["scope_claim_name"] = wanted.scope_claim.clone().into();
        }
        Ok(())
    }

    /// `scopes.jwt`, with what the older members say where it was empty: from now
    /// on they are not read any more.
    fn scopes(&mut self) -> &mut Value {
        if scopes_are_empty(&self.definition) {
            let entries = mapping(&self.definition);
            let claim = text(&self.definition, "jwt_scope_claim_name").to_owned();
            if !self.definition["scopes"].is_object() {
                self.definition["scopes"] = json!({});
            }
            if !self.definition["scopes"]["jwt"].is_object() {
                self.definition["scopes"]["jwt"] = json!({});
            }
            let jwt = &mut self.definition["scopes"]["jwt"];
            jwt[MAPPING] = json!(entries);
            if !claim.is_empty() {
                jwt["scope_claim_name"] = claim.into();
            }
        }
        if !self.definition["scopes"]["jwt"].is_object() {
            self.definition["scopes"]["jwt"] = json!({});
        }
        &mut self.definition["scopes"]["jwt"]
    }

    fn set(&mut self, member: &str, value: Value) {
        let shown = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        self.changes.changes.push(Change::Set {
            member: member.into(),
            value: shown(&value),
            before: shown(&self.definition[member]),
        });
        self.definition[member] = value;
    }
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// A URL, or base64 of one.
pub(super) fn key_source(definition: &Value) -> String {
    let source = text(definition, "jwt_source");
    let decoded = BASE64_STANDARD.decode(source).ok();
    decoded
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_else(|| source.to_owned())
}

fn refused(code: &str, wanted: &WantedApi, why: &str) -> Failure {
    Failure::new(
        Disposition::Fail,
        code,
        format!("the API {} {why}", wanted.api_id),
    )
}

/// Nothing of Portico's at an API that is not there (any more).
pub(super) fn gone(wanted: &WantedApi) -> Result<ApiChanges, Failure> {
    if wanted.entries.is_empty() {
        return Ok(ApiChanges {
            owned: Owned::default(),
            ..ApiChanges::default()
        });
    }
    Err(refused(
        "api_not_at_gateway",
        wanted,
        "is not at the gateway",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWKS: &str = "https://id.example/certs";

    fn entries(pairs: &[(&str, &str)]) -> Mapping {
        pairs
            .iter()
            .map(|(scope, policy)| ((*scope).into(), (*policy).into()))
            .collect()
    }

    fn wanted(pairs: &[(&str, &str)], owned: &[(&str, &str)]) -> WantedApi {
        WantedApi {
            api_id: "pay".into(),
            entries: entries(pairs),
            jwks_uri: JWKS.into(),
            scope_claim: "scope".into(),
            owned: Owned {
                entries: entries(owned),
                ..Owned::default()
            },
            restore: false,
        }
    }

    fn api() -> Value {
        json!({"api_id": "pay", "name": "Payments", "proxy": {"listen_path": "/pay/"}, "x": [1, {"y": null}]})
    }

    fn connected(pairs: &[(&str, &str)]) -> Value {
        merge(&api(), &wanted(pairs, &[]), "noop")
            .unwrap()
            .definition
    }

    fn code(definition: &Value, wanted: &WantedApi) -> String {
        merge(definition, wanted, "noop").unwrap_err().code
    }

    #[test]
    fn fills_in_what_is_missing_and_leaves_the_rest() {
        let merged = merge(&api(), &wanted(&[("a", "p"), ("b", "q")], &[]), "noop").unwrap();
        let mut expected = api();
        let more = json!({
            "enable_jwt": true, "jwt_signing_method": "rsa",
            "jwt_source": "aHR0cHM6Ly9pZC5leGFtcGxlL2NlcnRz",
            "jwt_identity_base_field": "sub", "jwt_policy_field_name": "pol",
            "jwt_default_policies": ["noop"],
            "scopes": {"jwt": {"scope_claim_name": "scope", "scope_to_policy": {"a": "p", "b": "q"}}},
        });
        expected
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        assert_eq!(merged.definition, expected);
        assert_eq!(
            merged.changes.owned.entries,
            entries(&[("a", "p"), ("b", "q")])
        );
        assert!(merged.changes.owned.jwks_uris.contains(JWKS));
        assert!(merged.changes.changes.contains(&Change::Add {
            scope: "a".into(),
            policy: "p".into()
        }));
    }

    #[test]
    fn merging_again_changes_nothing() {
        let first = merge(&api(), &wanted(&[("a", "p")], &[]), "noop").unwrap();
        let again = WantedApi {
            owned: first.changes.owned.clone(),
            ..wanted(&[("a", "p")], &[])
        };
        let second = merge(&first.definition, &again, "noop").unwrap();
        assert_eq!(second.definition, first.definition);
        assert_eq!(second.changes.changes, []);
        assert_eq!(second.changes.owned, first.changes.owned);
    }

    #[test]
    fn a_source_of_keys_that_portico_made_is_restored_where_that_is_asked_for() {
        let first = merge(&api(), &wanted(&[("a", "p")], &[]), "noop").unwrap();
        let mut edited = first.definition.clone();
        edited["jwt_source"] = BASE64_STANDARD.encode("https://other.example/certs").into();
        let mut again = WantedApi {
            owned: first.changes.owned.clone(),
            ..wanted(&[("a", "p")], &[])
        };
        let refused = merge(&edited, &again, "noop").unwrap_err();
        assert_eq!(refused.code, "key_source_taken");
        again.restore = true;
        let repaired = merge(&edited, &again, "noop").unwrap();
        assert_eq!(repaired.definition, first.definition);
        // One that it never filled in is somebody else's for ever.
        again.owned.jwks_uris.clear();
        let refused = merge(&edited, &again, "noop").unwrap_err();
        assert_eq!(refused.code, "key_source_taken");
    }

    #[test]
    fn what_an_admin_chose_stays() {
        let mut definition = connected(&[("a", "p")]);
        definition["jwt_identity_base_field"] = "client_id".into();
        definition["jwt_policy_field_name"] = "policy".into();
        definition["jwt_default_policies"] = json!(["own"]);
        let merged = merge(&definition, &wanted(&[("a", "p")], &[]), "noop").unwrap();
        assert_eq!(merged.definition, definition);
    }

    #[test]
    fn foreign_entries_survive_adding_and_removing() {
        let definition = connected(&[("theirs", "t"), ("a", "p")]);
        let merged = merge(&definition, &wanted(&[("b", "q")], &[("a", "p")]), "noop").unwrap();
        assert_eq!(
            mapping(&merged.definition),
            entries(&[("b", "q"), ("theirs", "t")])
        );
        assert_eq!(merged.changes.owned.entries, entries(&[("b", "q")]));
        let merged = merge(&merged.definition, &wanted(&[], &[("b", "q")]), "noop").unwrap();
        assert_eq!(mapping(&merged.definition), entries(&[("theirs", "t")]));
        assert_eq!(merged.changes.owned.entries, entries(&[]));
        assert_eq!(
            merged.changes.changes,
            [Change::Remove { scope: "b".into() }]
        );
    }

    #[test]
    fn an_entry_that_was_there_is_used_but_never_owned() {
        let definition = connected(&[("a", "p")]);
        let merged = merge(&definition, &wanted(&[("a", "p")], &[]), "noop").unwrap();
        assert_eq!(merged.changes.foreign, entries(&[("a", "p")]));
        assert_eq!(merged.changes.owned.entries, entries(&[]));
    }

    #[test]
    fn an_owned_entry_is_put_right_but_not_removed_once_changed() {
        let definition = connected(&[("a", "other")]);
        let merged = merge(&definition, &wanted(&[("a", "p")], &[("a", "p")]), "noop").unwrap();
        assert_eq!(mapping(&merged.definition), entries(&[("a", "p")]));
        let merged = merge(&definition, &wanted(&[], &[("a", "p")]), "noop").unwrap();
        assert_eq!(merged.definition, definition);
        assert_eq!(merged.changes.owned.entries, entries(&[]));
    }

    #[test]
    fn older_members_move_before_they_stop_being_read() {
        let mut definition = api();
        definition["jwt_scope_claim_name"] = "scope".into();
        definition["jwt_scope_to_policy_mapping"] = json!({"old": "o"});
        definition["scopes"] = json!({"jwt": {}, "oidc": {"scope_to_policy": null}});
        let merged = merge(&definition, &wanted(&[("a", "p")], &[]), "noop").unwrap();
        assert_eq!(
            merged.definition["scopes"],
            json!({
                "jwt": {"scope_claim_name": "scope", "scope_to_policy": {"a": "p", "old": "o"}},
                "oidc": {"scope_to_policy": null},
            })
        );
        assert_eq!(
            merged.definition["jwt_scope_to_policy_mapping"],
            json!({"old": "o"})
        );
    }

    #[test]
    fn nothing_to_remove_touches_nothing() {
        let mut definition = api();
        definition["jwt_scope_to_policy_mapping"] = json!({"old": "o"});
        definition["use_keyless"] = true.into();
        let merged = merge(&definition, &wanted(&[], &[("a", "p")]), "noop").unwrap();
        assert_eq!(merged.definition, definition);
    }

    #[test]
    fn what_belongs_to_somebody_else_is_refused_by_name() {
        let mut keyless = api();
        keyless["use_keyless"] = true.into();
        assert_eq!(
            code(&keyless, &wanted(&[("a", "p")], &[])),
            "api_is_keyless"
        );

        let other = connected(&[("a", "other")]);
        assert_eq!(
            code(&other, &wanted(&[("a", "p")], &[])),
            "scope_mapped_otherwise"
        );

        let mut source = api();
        source["jwt_source"] = "https://other.example/certs".into();
        let mut asked = wanted(&[("a", "p")], &[]);
        assert_eq!(code(&source, &asked), "key_source_taken");
        asked
            .owned
            .jwks_uris
            .insert("https://other.example/certs".into());
        let merged = merge(&source, &asked, "noop").unwrap();
        assert_eq!(key_source(&merged.definition), JWKS);

        let mut claim = connected(&[("theirs", "t")]);
        claim["scopes"]["jwt"]["scope_claim_name"] = "scp".into();
        assert_eq!(
            code(&claim, &wanted(&[("a", "p")], &[])),
            "scope_claim_taken"
        );
        assert!(merge(&claim, &wanted(&[("a", "p")], &[("theirs", "t")]), "noop").is_ok());
    }

    #[test]
    fn odd_shapes_do_not_break_it() {
        for scopes in [
            json!(null),
            json!("text"),
            json!([]),
            json!({"jwt": 7}),
            json!({"jwt": {"scope_to_policy": 1}}),
        ] {
            let mut definition = api();
            definition["scopes"] = scopes;
            let merged = merge(&definition, &wanted(&[("a", "p")], &[]), "").unwrap();
            assert_eq!(mapping(&merged.definition), entries(&[("a", "p")]));
            assert_eq!(merged.definition["jwt_default_policies"], Value::Null);
        }
    }
}
