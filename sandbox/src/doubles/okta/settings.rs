//! The settings of a client: which are taken together, by the type of the application.

use serde_json::{Map, Value};

use super::Applications;
use crate::doubles::stage::{Reply, invalid};

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

/// Whether these settings are taken.
pub(super) fn check(
    settings: &Map<String, Value>,
    applications: &Applications,
    id: Option<&str>,
) -> Result<(), Reply> {
    let mut names = settings.keys();
    if let Some(name) = names.find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(invalid(&format!("{name}: Unknown or not settable")));
    }
    let name = settings.get("client_name").and_then(Value::as_str);
    let name = name.unwrap_or_default();
    if name.is_empty() || name.chars().count() > 100 {
        return Err(invalid("client_name: The field cannot be left blank"));
    }
    let mut others = applications
        .iter()
        .filter(|(other, _)| Some(other.as_str()) != id);
    if others.any(|(_, one)| one.settings["client_name"] == name) {
        let why = "An object with this field already exists in the current organization";
        return Err(invalid(&format!("client_name: {why}")));
    }
    match unfit(settings) {
        Some(why) => Err(invalid(&why)),
        None => Ok(()),
    }
}

/// Why grant and response types do not go together, by the type of the application.
fn unfit(settings: &Map<String, Value>) -> Option<String> {
    let list = |member: &str| -> Vec<&str> {
        let values = settings.get(member).and_then(Value::as_array);
        let values = values.into_iter().flatten();
        values.filter_map(Value::as_str).collect()
    };
    let kind = settings.get("application_type").and_then(Value::as_str);
    let kind = kind.unwrap_or("web");
    let (grants, responses) = (list("grant_types"), list("response_types"));
    let signs_in = grants.contains(&"authorization_code");
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
        _ => return Some("application_type: is not one of the allowed values".to_owned()),
    };
    if grants.is_empty() || grants.iter().any(|grant| !fits.contains(grant)) {
        return Some(format!(
            "grant_types: not valid for application_type {kind}"
        ));
    }
    let why = if matches!(kind, "web" | "native") && !signs_in {
        "grant_types: must contain authorization_code"
    } else if kind == "service" && responses != ["token"] {
        "response_types: must be token for client_credentials"
    } else if signs_in && (!responses.contains(&"code") || list("redirect_uris").is_empty()) {
        "redirect_uris: at least one redirect URI and response type is required"
    } else {
        return None;
    };
    Some(why.to_owned())
}
