//! The settings of a client: which are taken together, by the type of the application.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Application;
use crate::doubles::stage::{Reply, oauth_error};

/// Members of a client application.
const MEMBERS: [&str; 15] = [
    "application_type",
    "client_id",
    "client_name",
    "client_uri",
    "grant_types",
    "initiate_login_uri",
    "jwks",
    "logo_uri",
    "policy_uri",
    "post_logout_redirect_uris",
    "redirect_uris",
    "request_object_signing_alg",
    "response_types",
    "token_endpoint_auth_method",
    "tos_uri",
];

/// Whether such a client gets one.
pub(super) fn has_secret(settings: &Map<String, Value>) -> bool {
    let method = settings
        .get("token_endpoint_auth_method")
        .and_then(Value::as_str);
    !matches!(method, Some("none" | "private_key_jwt"))
}

/// Why these settings are not taken.
pub(super) fn refused(
    settings: &Map<String, Value>,
    applications: &BTreeMap<String, Application>,
    id: Option<&str>,
) -> Option<Reply> {
    if let Some(name) = settings
        .keys()
        .find(|name| !MEMBERS.contains(&name.as_str()))
    {
        return Some(invalid(&format!("{name}: Unknown or not settable")));
    }
    let name = settings
        .get("client_name")
        .and_then(Value::as_str)
        .unwrap_or("");
    if name.is_empty() || name.chars().count() > 100 {
        return Some(invalid("client_name: The field cannot be left blank"));
    }
    let taken = applications
        .iter()
        .any(|(other, one)| Some(other.as_str()) != id && one.settings["client_name"] == name);
    if taken {
        return Some(invalid(
            "client_name: An object with this field already exists in the current organization",
        ));
    }
    unfit(settings)
}

/// Which grant and response types go together, by the type of the application.
fn unfit(settings: &Map<String, Value>) -> Option<Reply> {
    let list = |member: &str| -> Vec<&str> {
        let values = settings.get(member).and_then(Value::as_array);
        values
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    };
    let kind = settings
        .get("application_type")
        .and_then(Value::as_str)
        .unwrap_or("web");
    let (grants, responses) = (list("grant_types"), list("response_types"));
    let fits: &[&str] = match kind {
        "service" => &["client_credentials"],
        "browser" => &["authorization_code", "implicit", "refresh_token"],
        "native" => &[
            "authorization_code",
            "implicit",
            "password",
            "refresh_token",
        ],
        "web" => &[
            "authorization_code",
            "implicit",
            "refresh_token",
            "client_credentials",
        ],
        _ => {
            return Some(invalid(
                "application_type: is not one of the allowed values",
            ));
        }
    };
    if grants.is_empty() || grants.iter().any(|grant| !fits.contains(grant)) {
        return Some(invalid(&format!(
            "grant_types: not valid for application_type {kind}"
        )));
    }
    if matches!(kind, "web" | "native") && !grants.contains(&"authorization_code") {
        return Some(invalid("grant_types: must contain authorization_code"));
    }
    if kind == "service" && responses != ["token"] {
        return Some(invalid(
            "response_types: must be token for client_credentials",
        ));
    }
    if grants.contains(&"authorization_code")
        && (!responses.contains(&"code") || list("redirect_uris").is_empty())
    {
        return Some(invalid(
            "redirect_uris: at least one redirect URI and response type is required",
        ));
    }
    None
}

pub(super) fn invalid(description: &str) -> Reply {
    oauth_error(400, "invalid_client_metadata", description)
}
