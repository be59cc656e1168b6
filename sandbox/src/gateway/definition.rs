//! The members of API definitions and policies that the double understands. All
//! others are kept as they were given and mean nothing here.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// Reads a document; a `null` counts as left out, as in Go.
pub(super) fn read<T: DeserializeOwned>(document: &Value) -> serde_json::Result<T> {
    serde_json::from_value(without_nulls(document))
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().filter(|(_, value)| !value.is_null());
            let members = members.map(|(name, value)| (name.clone(), without_nulls(value)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Api {
    pub(super) api_id: String,
    pub(super) org_id: String,
    pub(super) use_keyless: bool,
    pub(super) enable_jwt: bool,
    pub(super) use_standard_auth: bool,
    auth: AuthConfig,
    auth_configs: BTreeMap<String, AuthConfig>,
    pub(super) jwt_signing_method: String,
    jwt_source: String,
    pub(super) jwt_identity_base_field: String,
    pub(super) jwt_policy_field_name: String,
    pub(super) jwt_default_policies: Vec<String>,
    scopes: Scopes,
    jwt_scope_claim_name: String,
    jwt_scope_to_policy_mapping: BTreeMap<String, String>,
    pub(super) disable_rate_limit: bool,
    pub(super) disable_quota: bool,
    pub(super) strip_auth_data: bool,
    pub(super) version_data: VersionData,
    pub(super) proxy: Proxy,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct AuthConfig {
    auth_header_name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Scopes {
    jwt: ScopeClaim,
    oidc: ScopeClaim,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct ScopeClaim {
    scope_claim_name: String,
    scope_to_policy: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct VersionData {
    pub(super) not_versioned: bool,
    default_version: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Proxy {
    pub(super) listen_path: String,
    pub(super) target_url: String,
    pub(super) strip_listen_path: bool,
}

impl VersionData {
    /// The version that an access right must name; `Default` where none is given.
    pub(super) fn version(&self) -> &str {
        if self.default_version.is_empty() {
            "Default"
        } else {
            &self.default_version
        }
    }
}

impl Api {
    /// The header that keys come in; `auth` is the older place.
    pub(super) fn key_header(&self) -> &str {
        let config = self.auth_configs.get("authToken").unwrap_or(&self.auth);
        match config.auth_header_name.as_str() {
            "" => "Authorization",
            name => name,
        }
    }

    /// Takes in what the registry says of this API: keys and scopes beside those of the definition.
    pub(super) fn trust(&mut self, record: &Value) {
        let mapping = record["api_mappings"][&self.api_id]["scope_to_policy"].as_object();
        let Some(mapping) = mapping else { return };
        let text = |member: &str| record[member].as_str().unwrap_or_default().to_owned();
        if self.jwt_source.is_empty() {
            self.jwt_source = text("jwks_uri");
        }
        let entries = mapping
            .iter()
            .filter_map(|(scope, policy)| Some((scope.clone(), policy.as_str()?.to_owned())));
        let mut all = self.scope_to_policy().clone();
        all.extend(entries);
        let claim = match text("scope_claim_name") {
            claim if claim.is_empty() => self.scope_claim().to_owned(),
            claim => claim,
        };
        self.scopes.jwt = ScopeClaim {
            scope_claim_name: claim,
            scope_to_policy: all,
        };
    }

    /// The older members are read only where `scopes` is empty.
    pub(super) fn scope_to_policy(&self) -> &BTreeMap<String, String> {
        if self.scopes == Scopes::default() {
            &self.jwt_scope_to_policy_mapping
        } else {
            &self.scopes.jwt.scope_to_policy
        }
    }

    /// The claim that carries the scopes: `scope` unless the definition says otherwise.
    pub(super) fn scope_claim(&self) -> &str {
        let named = if self.scopes == Scopes::default() {
            &self.jwt_scope_claim_name
        } else {
            &self.scopes.jwt.scope_claim_name
        };
        if named.is_empty() { "scope" } else { named }
    }

    /// The JWKS address, given in base64 or plainly. Static keys are not understood.
    pub(super) fn jwks_url(&self) -> Option<String> {
        let is_url = |text: &str| text.starts_with("http://") || text.starts_with("https://");
        if is_url(&self.jwt_source) {
            return Some(self.jwt_source.clone());
        }
        let decoded = STANDARD.decode(&self.jwt_source).ok()?;
        String::from_utf8(decoded).ok().filter(|text| is_url(text))
    }

    /// What is left of `path` behind the listen path, or `None` if it is not this API's.
    pub(super) fn rest_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.proxy.listen_path.trim_end_matches('/'))?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Policy {
    pub(super) id: String,
    pub(super) org_id: String,
    #[serde(flatten)]
    pub(super) limit: Limit,
    pub(super) access_rights: BTreeMap<String, AccessRight>,
    pub(super) partitions: Partitions,
    pub(super) is_inactive: bool,
}

/// Rate in requests per `per` seconds, quota in requests per `quota_renewal_rate` seconds. Zero or less is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Limit {
    pub(super) rate: f64,
    pub(super) per: f64,
    pub(super) quota_max: i64,
    pub(super) quota_renewal_rate: i64,
}

/// What a policy says about one API.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AccessRight {
    pub(super) versions: Vec<String>,
    pub(super) limit: Limit,
}

/// The parts of a session that a policy sets. None at all means every part.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Partitions {
    pub(super) acl: bool,
    pub(super) rate_limit: bool,
    pub(super) quota: bool,
    pub(super) complexity: bool,
    pub(super) per_api: bool,
}

impl Partitions {
    /// Whether the policy is partitioned; `per_api` does not count.
    pub(super) fn any(self) -> bool {
        self.acl || self.rate_limit || self.quota || self.complexity
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn api(definition: Value) -> Api {
        read(&definition).unwrap()
    }

    #[test]
    fn older_scope_members_are_read_only_where_scopes_is_empty() {
        let older =
            json!({"jwt_scope_claim_name": "scp", "jwt_scope_to_policy_mapping": {"a": "old"}});
        let mut both = older.clone();
        both["scopes"] = json!({"jwt": {"scope_to_policy": {"a": "new"}}});
        assert_eq!(api(older.clone()).scope_to_policy()["a"], "old");
        assert_eq!(api(older).scope_claim(), "scp");
        assert_eq!(api(both.clone()).scope_to_policy()["a"], "new");
        assert_eq!(api(both).scope_claim(), "scope");
        let empty = json!({"scopes": {"jwt": {}, "oidc": null}, "jwt_scope_to_policy_mapping": {"a": "old"}});
        assert_eq!(api(empty).scope_to_policy()["a"], "old");
    }

    #[test]
    fn the_source_is_a_url_or_its_base64() {
        for source in [
            "http://idp/jwks".to_owned(),
            STANDARD.encode("http://idp/jwks"),
        ] {
            assert_eq!(
                api(json!({"jwt_source": source})).jwks_url().as_deref(),
                Some("http://idp/jwks")
            );
        }
        assert_eq!(
            api(json!({"jwt_source": STANDARD.encode("-----BEGIN")})).jwks_url(),
            None
        );
    }

    #[test]
    fn a_listen_path_ends_at_a_segment() {
        let payments = api(json!({"proxy": {"listen_path": "/payments/"}}));
        assert_eq!(payments.rest_of("/payments/1/2"), Some("/1/2"));
        assert_eq!(payments.rest_of("/payments"), Some(""));
        assert_eq!(payments.rest_of("/paymentsold"), None);
    }
}
