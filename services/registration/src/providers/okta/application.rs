//! Okta's client application, and which grant types fit which kind of it.

use serde_json::{Map, Value, json};

use crate::providers::client::WantedClient;
use crate::providers::failure::{Failure, Result};
use crate::providers::metadata::array;
use crate::providers::rfc7591::{marked_name, renamed};

/// Characters of a name, which is the label of an application.
const NAME: usize = 100;
/// Members that an update must not have, and the secret, which is Okta's.
const NOT_SENT: [&str; 4] = [
    "client_id_issued_at",
    "client_secret_expires_at",
    "client_secret",
    "registration_client_uri",
];

/// The body of a registration.
pub(super) fn registration(wanted: &WantedClient) -> Result<Map<String, Value>> {
    let mut body = settings(wanted, kind(wanted))?;
    body.insert("client_name".into(), marked_name(wanted, NAME).into());
    Ok(body)
}

/// The body of an update: all settings of the client as Okta told them, with what is wanted on top.
pub(super) fn update(
    mut body: Map<String, Value>,
    client_id: &str,
    wanted: &WantedClient,
) -> Result<Map<String, Value>> {
    body.retain(|name, _| !NOT_SENT.contains(&name.as_str()));
    let text = |member: &str| body.get(member).and_then(Value::as_str);
    let kind = text("application_type").unwrap_or_else(|| kind(wanted));
    let name = text("client_name").and_then(|name| renamed(name, wanted, NAME));
    let name = name.unwrap_or_else(|| wanted.client_name().chars().take(NAME).collect());
    let settings = settings(wanted, kind)?;
    body.extend(settings);
    body.insert("client_name".into(), name.into());
    body.insert("client_id".into(), client_id.into());
    Ok(body)
}

/// The kind that was chosen, or the one that the grant types fit.
fn kind(wanted: &WantedClient) -> &str {
    let redirects = ["authorization_code", "implicit"]
        .iter()
        .any(|grant| wanted.grant_types.contains(*grant));
    match wanted.okta_application_type.as_str() {
        "" if !redirects => "service",
        "" if wanted.is_public() => "browser",
        "" => "web",
        chosen => chosen,
    }
}

fn settings(wanted: &WantedClient, kind: &str) -> Result<Map<String, Value>> {
    let fits: &[&str] = match kind {
        "service" => &["client_credentials"],
        "browser" => &["authorization_code", "implicit", "refresh_token"],
        "native" => &["authorization_code", "implicit", "refresh_token"],
        _ => &[
            "authorization_code",
            "implicit",
            "refresh_token",
            "client_credentials",
        ],
    };
    if let Some(grant) = wanted
        .grant_types
        .iter()
        .find(|grant| !fits.contains(&grant.as_str()))
    {
        return Err(unfit(format!(
            "an Okta application of type {kind} takes the grant types {}, not {grant}",
            fits.join(", ")
        )));
    }
    let needs_code = matches!(kind, "web" | "native");
    if needs_code && !wanted.grant_types.contains("authorization_code") {
        return Err(unfit(format!(
            "an Okta application of type {kind} needs the grant type authorization_code; use type service for \
             client_credentials alone"
        )));
    }
    let responses = match wanted.response_types.is_empty() {
        true if kind == "service" => json!(["token"]),
        true => json!(["code"]),
        false => array(&wanted.response_types),
    };
    let mut body = Map::new();
    body.insert("application_type".into(), kind.into());
    body.insert("grant_types".into(), array(&wanted.grant_types));
    body.insert("response_types".into(), responses);
    body.insert("redirect_uris".into(), array(&wanted.redirect_uris));
    body.insert(
        "token_endpoint_auth_method".into(),
        wanted.auth_method().into(),
    );
    Ok(body)
}

fn unfit(why: String) -> Failure {
    Failure::fail("okta_application_type_unfit", why)
}
