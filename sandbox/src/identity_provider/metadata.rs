//! Client metadata: what a registration may ask for and what is granted (RFC 7591 section 2). Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::behaviour::Behaviour;
use super::error::OauthError;

const GRANT_TYPES: [&str; 3] = ["authorization_code", "client_credentials", "refresh_token"];
/// Known to OAuth and OIDC; what is not issued here is dropped from the grant.
const RESPONSE_TYPES: [&str; 8] = [
    "code",
    "none",
    "token",
    "id_token",
    "code token",
    "code id_token",
    "id_token token",
    "code id_token token",
];
pub(super) const AUTH_METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "none"];
/// Members that are stored and given back, and mean nothing here.
const KEPT: [&str; 7] = [
    "software_id",
    "software_version",
    "client_uri",
    "logo_uri",
    "tos_uri",
    "policy_uri",
    "contacts",
];
const LONGEST_NAME: usize = 255;

/// What a client was granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Shown to people.
    pub client_name: Option<String>,
    /// Exact URIs, no fragment, no wildcard.
    pub redirect_uris: Vec<String>,
    /// OAuth grant types.
    pub grant_types: Vec<String>,
    /// OAuth response types.
    pub response_types: Vec<String>,
    /// `client_secret_basic`, `client_secret_post` or `none`.
    pub token_endpoint_auth_method: String,
    /// Granted scopes; tokens carry no other.
    pub scopes: BTreeSet<String>,
    /// `software_id` and other members that are only kept.
    pub others: Map<String, Value>,
}

#[derive(Deserialize)]
struct ReceivedRequest {
    client_name: Option<String>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
    scope: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Metadata {
    /// Decides what is granted, or why not. `known` are the scopes of the provider.
    pub(super) fn grant(
        body: Map<String, Value>,
        known: &BTreeSet<String>,
        behaviour: &Behaviour,
    ) -> Result<Self, OauthError> {
        let asked: ReceivedRequest = serde_json::from_value(Value::Object(body))
            .map_err(|error| OauthError::metadata(error.to_string()))?;
        if asked
            .client_name
            .as_ref()
            .is_some_and(|name| name.chars().count() > LONGEST_NAME)
        {
            return Err(OauthError::metadata("client_name is too long"));
        }
        let grant_types = asked
            .grant_types
            .unwrap_or_else(|| vec!["authorization_code".to_owned()]);
        all_known("grant_types", &grant_types, &GRANT_TYPES)?;
        let auth_method = asked
            .token_endpoint_auth_method
            .unwrap_or_else(|| "client_secret_basic".to_owned());
        all_known(
            "token_endpoint_auth_method",
            std::slice::from_ref(&auth_method),
            &AUTH_METHODS,
        )?;
        let has = |grant: &str| grant_types.iter().any(|one| one == grant);
        if auth_method == "none" && has("client_credentials") {
            return Err(OauthError::metadata(
                "a client without a secret cannot use client_credentials",
            ));
        }
        check_redirect_uris(&asked.redirect_uris, has("authorization_code"))?;
        Ok(Self {
            client_name: asked.client_name,
            response_types: response_types(asked.response_types, has("authorization_code"))?,
            redirect_uris: asked.redirect_uris,
            grant_types,
            token_endpoint_auth_method: auth_method,
            scopes: scopes(asked.scope.as_deref(), known, behaviour)?,
            others: others(asked.others, behaviour)?,
        })
    }

    /// The members of a client information response (RFC 7591 section 3.2.1).
    pub(super) fn members(&self) -> Map<String, Value> {
        let mut members = self.others.clone();
        if let Some(name) = &self.client_name {
            members.insert("client_name".to_owned(), name.clone().into());
        }
        members.insert(
            "redirect_uris".to_owned(),
            self.redirect_uris.clone().into(),
        );
        members.insert("grant_types".to_owned(), self.grant_types.clone().into());
        members.insert(
            "response_types".to_owned(),
            self.response_types.clone().into(),
        );
        let auth_method = self.token_endpoint_auth_method.clone();
        members.insert("token_endpoint_auth_method".to_owned(), auth_method.into());
        members.insert("scope".to_owned(), joined(&self.scopes).into());
        members
    }
}

/// Scopes as OAuth writes them, separated by a space.
pub(super) fn joined(scopes: &BTreeSet<String>) -> String {
    scopes
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}

fn all_known(member: &str, values: &[String], known: &[&str]) -> Result<(), OauthError> {
    match values.iter().find(|value| !known.contains(&value.as_str())) {
        Some(value) => Err(OauthError::metadata(format!(
            "{member}: {value:?} is not supported"
        ))),
        None => Ok(()),
    }
}

/// RFC 7591 section 2.1 lets a server put right what does not fit the grant types:
/// `code` stands exactly where `authorization_code` does.
fn response_types(asked: Option<Vec<String>>, code: bool) -> Result<Vec<String>, OauthError> {
    let mut granted = asked.unwrap_or_default();
    all_known("response_types", &granted, &RESPONSE_TYPES)?;
    granted.retain(|one| one == "none");
    if code {
        granted.insert(0, "code".to_owned());
    }
    Ok(granted)
}

fn check_redirect_uris(uris: &[String], needed: bool) -> Result<(), OauthError> {
    if needed && uris.is_empty() {
        return Err(OauthError::redirect_uri(
            "authorization_code needs at least one redirect URI",
        ));
    }
    for uri in uris {
        let parsed = Url::parse(uri)
            .map_err(|_| OauthError::redirect_uri("a redirect URI is not absolute"))?;
        if parsed.fragment().is_some() {
            return Err(OauthError::redirect_uri("a redirect URI has a fragment"));
        }
        if uri.contains('*') {
            return Err(OauthError::redirect_uri("a redirect URI has a wildcard"));
        }
        if ["javascript", "data", "vbscript", "file"].contains(&parsed.scheme()) {
            return Err(OauthError::redirect_uri(
                "a redirect URI has a scheme that is not allowed",
            ));
        }
    }
    Ok(())
}

/// No scope asked for means none granted: the least power.
fn scopes(
    asked: Option<&str>,
    known: &BTreeSet<String>,
    behaviour: &Behaviour,
) -> Result<BTreeSet<String>, OauthError> {
    let asked: BTreeSet<String> = asked
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    if let Some(unknown) = asked.difference(known).next() {
        return Err(OauthError::metadata(format!(
            "scope: {unknown:?} is not known"
        )));
    }
    Ok(behaviour
        .granted_scopes
        .as_ref()
        .map_or(asked, |granted| granted.iter().cloned().collect()))
}

fn others(
    mut asked: Map<String, Value>,
    behaviour: &Behaviour,
) -> Result<Map<String, Value>, OauthError> {
    if behaviour.reject_unknown_members
        && let Some(member) = asked.keys().find(|member| !KEPT.contains(&member.as_str()))
    {
        return Err(OauthError::metadata(format!(
            "unrecognized field {member:?}"
        )));
    }
    asked.retain(|member, _| KEPT.contains(&member.as_str()));
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn grant(body: Value) -> Result<Metadata, OauthError> {
        let Value::Object(body) = body else {
            panic!("not an object")
        };
        let known = ["product_payments", "free_plan"].map(str::to_owned).into();
        Metadata::grant(body, &known, &Behaviour::default())
    }

    #[test]
    fn grants_what_is_asked_and_ignores_the_unknown() {
        let granted = grant(json!({
            "client_name": "Shop", "grant_types": ["client_credentials"], "response_types": ["code", "token"],
            "scope": "free_plan product_payments free_plan", "software_id": "request-1", "colour": "blue",
        }))
        .unwrap();
        assert_eq!(joined(&granted.scopes), "free_plan product_payments");
        assert_eq!(
            granted.response_types,
            Vec::<String>::new(),
            "code does not fit client_credentials"
        );
        assert_eq!(
            granted.others,
            Map::from_iter([("software_id".to_owned(), json!("request-1"))])
        );
    }

    #[test]
    fn refuses_with_the_error_of_the_rfc() {
        let uri = |uri: &str| json!({"redirect_uris": [uri]});
        let client = |member: &str, value: Value| json!({"grant_types": ["client_credentials"], member: value});
        let cases = [
            (uri("https://a.example/cb#part"), "invalid_redirect_uri"),
            (uri("https://a.example/*"), "invalid_redirect_uri"),
            (uri("/relative"), "invalid_redirect_uri"),
            (uri("javascript:alert(1)"), "invalid_redirect_uri"),
            (json!({}), "invalid_redirect_uri"),
            (
                client("scope", json!("no_such_scope")),
                "invalid_client_metadata",
            ),
            (
                client("scope", json!(["free_plan"])),
                "invalid_client_metadata",
            ),
            (
                client("token_endpoint_auth_method", json!("none")),
                "invalid_client_metadata",
            ),
            (
                client("token_endpoint_auth_method", json!("tls")),
                "invalid_client_metadata",
            ),
            (
                client("response_types", json!(["banana"])),
                "invalid_client_metadata",
            ),
            (
                client("client_name", json!("n".repeat(256))),
                "invalid_client_metadata",
            ),
            (
                json!({"grant_types": ["password"]}),
                "invalid_client_metadata",
            ),
        ];
        for (body, expected) in cases {
            let error = grant(body.clone()).unwrap_err();
            assert!(format!("{error:?}").contains(expected), "{body}: {error:?}");
        }
    }
}
