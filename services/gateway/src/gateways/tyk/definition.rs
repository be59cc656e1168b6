//! Merging into a Tyk API definition. Pure.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::text;
use crate::gateways::{ApiChanges, Change, Failure, Mapping, Owned, WantedApi};

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

/// The mapping that is in force: the older member is read only where `scopes` is empty.
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

    /// `scopes.jwt`, with what the older members say where it was empty: from now on they are not read any more.
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

/// A URL, or base64 of one.
pub(super) fn key_source(definition: &Value) -> String {
    let source = text(definition, "jwt_source");
    let decoded = BASE64_STANDARD.decode(source).ok();
    decoded
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_else(|| source.to_owned())
}

fn refused(code: &str, wanted: &WantedApi, why: &str) -> Failure {
    Failure::fail(code, format!("the API {} {why}", wanted.api_id))
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
mod tests;
