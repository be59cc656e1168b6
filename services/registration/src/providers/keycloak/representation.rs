//! Keycloak's own `ClientRepresentation`, to and from the metadata of RFC 7591.
//! Facts measured on 26.7.3 are in the documentation of the driver.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::providers::client::{ChosenIds, Marker, WantedClient};
use crate::providers::failure::{Failure, Result};
use crate::providers::metadata::{Metadata, array, joined};

/// The one method by which a client with a secret may authenticate.
const AUTH_METHOD: &str = "client.secret.authentication.allowed.method";
const REFRESH: &str = "use.refresh.tokens";
const DEVICE: &str = "oauth2.device.authorization.grant.enabled";
const TOKEN_EXCHANGE: &str = "standard.token.exchange.enabled";
/// Ours. By it a client is known, and people find it in the admin console.
const MARKER: &str = "portico.marker";

/// Characters of a redirect URL that are stored.
const REDIRECT: usize = 255;

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const EXCHANGE_GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// Grant types and the switches that they are here.
const FLOWS: [(&str, &str); 4] = [
    ("authorization_code", "standardFlowEnabled"),
    ("implicit", "implicitFlowEnabled"),
    ("password", "directAccessGrantsEnabled"),
    ("client_credentials", "serviceAccountsEnabled"),
];

/// The body of a registration, without the secret.
pub(super) fn registration(wanted: &WantedClient, ids: &ChosenIds) -> Result<Map<String, Value>> {
    let mut body = common(wanted)?;
    // With `id` equal to `clientId` the client can also be managed through the
    // `openid-connect` endpoint, which looks clients up by `id` on PUT.
    if uuid::Uuid::try_parse(&ids.client_id).is_ok() {
        body.insert("id".into(), ids.client_id.clone().into());
    }
    body.insert("clientId".into(), ids.client_id.clone().into());
    body.insert("optionalClientScopes".into(), array(&wanted.scopes));
    // "The origins of the redirect URLs", whichever they are later. An update leaves them to the admins of Keycloak.
    body.insert("webOrigins".into(), json!(["+"]));
    if let Some(Value::Object(attributes)) = body.get_mut("attributes") {
        attributes.insert(MARKER.into(), wanted.marker.to_string().into());
    }
    Ok(body)
}

/// The scopes of a client as they are at Keycloak.
#[derive(Debug, Default)]
pub(super) struct ClientScopes {
    optional: BTreeSet<String>,
    default: BTreeSet<String>,
}

impl ClientScopes {
    pub(super) fn of(representation: &Map<String, Value>) -> Self {
        Self {
            optional: texts(representation, "optionalClientScopes"),
            default: texts(representation, "defaultClientScopes"),
        }
    }

    /// What the optional scopes become: those that Portico put there before are
    /// replaced, others are an admin's and stay.
    pub(super) fn replaced(mut self, ours: &BTreeSet<String>, wanted: &BTreeSet<String>) -> Self {
        self.optional.retain(|scope| !ours.contains(scope));
        self.optional.extend(wanted.iter().cloned());
        self
    }

    pub(super) fn from_granted(granted: &Metadata) -> Self {
        Self {
            optional: granted.scopes().unwrap_or_default(),
            default: granted.list("default_scopes").unwrap_or_default(),
        }
    }

    /// Both lists always go together: leaving one out empties it, and a scope such
    /// as `service_account` is refused when it is put back.
    fn write(&self, body: &mut Map<String, Value>) {
        body.insert("optionalClientScopes".into(), array(&self.optional));
        body.insert("defaultClientScopes".into(), array(&self.default));
    }
}

/// The body of an update.
pub(super) fn update(
    wanted: &WantedClient,
    client_id: &str,
    scopes: &ClientScopes,
) -> Result<Map<String, Value>> {
    let mut body = common(wanted)?;
    body.insert("clientId".into(), client_id.into());
    scopes.write(&mut body);
    Ok(body)
}

/// The body of a change of one thing, such as the secret, which is not in it yet.
pub(super) fn rotation(client_id: &str, scopes: &ClientScopes) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("clientId".into(), client_id.into());
    scopes.write(&mut body);
    body
}

/// Every switch is sent: `publicClient` left out may come back as true, and flows
/// left out come back as Keycloak's defaults.
fn common(wanted: &WantedClient) -> Result<Map<String, Value>> {
    check_redirects(wanted)?;
    let mut body = Map::new();
    let mut attributes = Map::new();
    body.insert("name".into(), wanted.client_name().into());
    body.insert("publicClient".into(), wanted.is_public().into());
    for (grant, switch) in FLOWS {
        body.insert(switch.into(), wanted.grant_types.contains(grant).into());
    }
    body.insert("redirectUris".into(), array(&wanted.redirect_uris));
    match wanted.auth_method() {
        "none" => {}
        method @ ("client_secret_basic" | "client_secret_post") => {
            body.insert("clientAuthenticatorType".into(), "client-secret".into());
            attributes.insert(AUTH_METHOD.into(), method.into());
        }
        "client_secret_jwt" => {
            body.insert("clientAuthenticatorType".into(), "client-secret-jwt".into());
        }
        method => {
            return Err(Failure::fail(
                "auth_method_unsupported",
                format!(
                    "token_endpoint_auth_method {method} needs a key that Portico does not hold"
                ),
            ));
        }
    }
    let mut switch = |attribute: &str, grant: &str| {
        let on = wanted.grant_types.contains(grant);
        attributes.insert(attribute.into(), on.to_string().into());
    };
    switch(REFRESH, "refresh_token");
    switch(DEVICE, DEVICE_GRANT);
    switch(TOKEN_EXCHANGE, EXCHANGE_GRANT);
    body.insert("attributes".into(), attributes.into());
    Ok(body)
}

/// Keycloak answers a longer one with 500 and "consult the server log".
fn check_redirects(wanted: &WantedClient) -> Result<()> {
    let long = wanted
        .redirect_uris
        .iter()
        .enumerate()
        .filter_map(|(at, uri)| {
            let length = uri.chars().count();
            // By number: the words are stored, and the URL is what somebody wrote.
            (length > REDIRECT).then(|| format!("number {} ({length} characters)", at + 1))
        });
    let long: Vec<String> = long.collect();
    if long.is_empty() {
        return Ok(());
    }
    Err(Failure::fail(
        "redirect_url_too_long",
        format!(
            "Keycloak stores redirect URLs of at most {REDIRECT} characters; the redirect URLs that are longer: {}",
            long.join(", ")
        ),
    ))
}

/// What a representation grants, as metadata of RFC 7591.
pub(super) fn members(representation: &Map<String, Value>) -> Map<String, Value> {
    let mut members = Map::new();
    let mut copy = |from: &str, to: &str| {
        if let Some(value) = representation.get(from) {
            members.insert(to.into(), value.clone());
        }
    };
    copy("clientId", "client_id");
    copy("name", "client_name");
    copy("redirectUris", "redirect_uris");
    copy("defaultClientScopes", "default_scopes");
    copy("enabled", "enabled");
    let scopes = texts(representation, "optionalClientScopes");
    members.insert("scope".into(), joined(&scopes).into());
    members.insert("grant_types".into(), array(&grants(representation)));
    // One flow, one response type; Keycloak derives them from the flows.
    if is_on(representation, "standardFlowEnabled") && !is_on(representation, "implicitFlowEnabled")
    {
        members.insert("response_types".into(), json!(["code"]));
    }
    if let Some(method) = auth_method(representation) {
        members.insert("token_endpoint_auth_method".into(), method.into());
    }
    members
}

/// What Portico has marked a client with.
pub(super) fn marker(representation: &Map<String, Value>) -> Option<Marker> {
    Marker::parse(attribute(representation, MARKER)?)
}

/// What a client of a list may be able to do.
pub(super) fn scopes(representation: &Map<String, Value>) -> BTreeSet<String> {
    texts(representation, "optionalClientScopes")
}

fn grants(representation: &Map<String, Value>) -> BTreeSet<String> {
    let mut grants: BTreeSet<String> = FLOWS
        .into_iter()
        .filter(|(_, switch)| is_on(representation, switch))
        .map(|(grant, _)| grant.to_owned())
        .collect();
    let user_signs_in = ["authorization_code", "password"]
        .iter()
        .any(|g| grants.contains(*g));
    let refreshes = attribute(representation, REFRESH) != Some("false") && user_signs_in;
    for (on, grant) in [
        (refreshes, "refresh_token"),
        (
            attribute(representation, DEVICE) == Some("true"),
            DEVICE_GRANT,
        ),
        (
            attribute(representation, TOKEN_EXCHANGE) == Some("true"),
            EXCHANGE_GRANT,
        ),
    ] {
        if on {
            grants.insert(grant.to_owned());
        }
    }
    grants
}

fn auth_method(representation: &Map<String, Value>) -> Option<&str> {
    if is_on(representation, "publicClient") {
        return Some("none");
    }
    match representation.get("clientAuthenticatorType")?.as_str()? {
        // Without the attribute every method with a secret is allowed.
        "client-secret" => attribute(representation, AUTH_METHOD),
        "client-secret-jwt" => Some("client_secret_jwt"),
        "client-jwt" => Some("private_key_jwt"),
        "client-x509" => Some("tls_client_auth"),
        _ => None,
    }
}

fn is_on(representation: &Map<String, Value>, switch: &str) -> bool {
    representation
        .get(switch)
        .and_then(Value::as_bool)
        .unwrap_or(false)
}

fn attribute<'a>(representation: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    representation.get("attributes")?.get(name)?.as_str()
}

fn texts(representation: &Map<String, Value>, member: &str) -> BTreeSet<String> {
    let values = representation.get(member).and_then(Value::as_array);
    let values = values.into_iter().flatten();
    values
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::double::{ids, wanted};

    #[test]
    fn redirect_urls_that_are_not_stored_are_named() {
        let url = |path: usize| format!("https://app.example/{}", "a".repeat(path));
        let mut client = wanted(&["a"]);
        client.redirect_uris = vec![url(200), url(235)];
        assert!(registration(&client, &ids()).is_ok());
        client.redirect_uris = vec![url(10), url(236), url(1000)];
        let scopes = ClientScopes::default();
        for failure in [
            registration(&client, &ids()).unwrap_err(),
            update(&client, "c1", &scopes).unwrap_err(),
        ] {
            assert_eq!(failure.code, "redirect_url_too_long");
            assert!(!failure.outcome_unknown, "nothing was sent");
            let words = failure.description;
            for part in ["number 2 (256 characters)", "number 3 (1020 characters)"] {
                assert!(words.contains(part), "{words}");
            }
            assert!(
                !words.contains("number 1") && !words.contains("app.example"),
                "{words}"
            );
        }
    }
}
