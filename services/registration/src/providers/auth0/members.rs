//! Auth0's own members of a client, to and from the metadata of RFC 7591.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::providers::client::{Marker, RegisteredClient, WantedClient};
use crate::providers::discovery::Endpoints;
use crate::providers::failure::{Failure, Result};
use crate::providers::metadata::{Difference, Metadata, array, joined};
use crate::providers::rfc7591;
use crate::providers::session::{RawAnswer, Step};
use crate::providers::site::Site;

/// Ours, in `client_metadata`; a value has at most 255 characters.
const MARKER: &str = "portico_marker";

/// Whether the client gets tokens without anybody signing in.
pub(super) fn by_itself(wanted: &WantedClient) -> bool {
    wanted.grant_types.contains("client_credentials")
}

/// What Auth0 is known to refuse, or would make useless.
pub(super) fn check(site: Site<'_>, wanted: &WantedClient) -> Result<()> {
    if by_itself(wanted) && site.options.api_audience.is_empty() {
        return Err(Failure::fail(
            "api_audience_missing",
            "a client gets tokens by client_credentials only for an API that it has a client grant for: give the \
             identity provider an api_audience",
        ));
    }
    Ok(())
}

/// The body of a registration.
pub(super) fn registration(wanted: &WantedClient) -> Map<String, Value> {
    let mut body = changes(wanted);
    body.insert(
        "client_metadata".into(),
        json!({MARKER: wanted.marker.to_string()}),
    );
    body.insert("is_first_party".into(), true.into());
    body.insert("oidc_conformant".into(), true.into());
    // Gateways find keys in a key set, which has those of RS256.
    body.insert("jwt_configuration".into(), json!({"alg": "RS256"}));
    body
}

/// What may change after that.
pub(super) fn changes(wanted: &WantedClient) -> Map<String, Value> {
    let redirects = ["authorization_code", "implicit"]
        .iter()
        .any(|grant| wanted.grant_types.contains(*grant));
    let kind = match (redirects, wanted.is_public()) {
        (false, _) => "non_interactive",
        (true, true) => "spa",
        (true, false) => "regular_web",
    };
    let name: String = wanted
        .client_name()
        .chars()
        .filter(|c| !matches!(c, '<' | '>'))
        .collect();
    let mut body = Map::new();
    body.insert("name".into(), name.into());
    body.insert("app_type".into(), kind.into());
    body.insert("grant_types".into(), array(&wanted.grant_types));
    body.insert("callbacks".into(), array(&wanted.redirect_uris));
    body.insert(
        "token_endpoint_auth_method".into(),
        wanted.auth_method().into(),
    );
    body
}

/// What Portico has marked a client with.
pub(super) fn marker(client: &Value) -> Option<Marker> {
    Marker::parse(client.get("client_metadata")?.get(MARKER)?.as_str()?)
}

/// An answer of the Management API, or of open registration, whose members are those of RFC 7591.
pub(super) fn parse(endpoints: &Endpoints, answer: &RawAnswer) -> Result<RegisteredClient> {
    if !answer.is_success() {
        return Err(super::calls::refused(answer));
    }
    let mut registered = rfc7591::parse(endpoints, answer)?;
    // In clear where the token may read keys, and of no use to us.
    if !matches!(answer.step, Step::Register | Step::Rotate) {
        registered.client_secret = None;
    }
    let mut members = registered.granted.members().clone();
    for (from, to) in [("name", "client_name"), ("callbacks", "redirect_uris")] {
        if let Some(value) = members.remove(from) {
            members.insert(to.into(), value);
        }
    }
    if registered.granted.members().contains_key("name") && !members.contains_key("scope") {
        members.insert("scope".into(), "".into());
    }
    registered.granted = Metadata::from_answer(members);
    let marked = answer.json().as_ref().and_then(marker);
    registered.marker = marked.or(registered.marker);
    Ok(registered)
}

pub(super) fn with_scopes(
    mut registered: RegisteredClient,
    scopes: &BTreeSet<String>,
) -> RegisteredClient {
    registered.granted = registered.granted.with("scope", joined(scopes));
    registered
}

/// Differences that only Auth0 makes.
pub(super) fn differences(wanted: &WantedClient, granted: &Metadata) -> Vec<Difference> {
    let mut found = Vec::new();
    if granted.members().get("is_first_party") == Some(&Value::Bool(false)) {
        found.push(Difference {
            member: "is_first_party".into(),
            asked: "true".into(),
            granted: "false".into(),
            consequence: "it is a third-party client: people are asked for their consent, and it can sign in only \
                          through connections of the whole domain"
                .into(),
        });
    }
    let signs_in = wanted.grant_types.contains("authorization_code");
    if signs_in && !wanted.scopes.is_empty() {
        found.push(Difference {
            member: "scope".into(),
            asked: joined(&wanted.scopes),
            granted: "by the API's settings, for people who sign in".into(),
            consequence: "Auth0 restricts scopes by client for client_credentials only; for people who sign in the \
                          API's own settings and roles decide"
                .into(),
        });
    }
    found
}
