//! What a provider says about a client.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{WantedClient, registration_members};

/// What is kept of an answer: IANA's registry of OAuth Dynamic Client Registration Metadata (RFC 7591 section 4.1), less
/// what is secret. Any other member may hold a secret under a name of its own.
#[rustfmt::skip]
const REGISTERED: &[&str] = &[
    "redirect_uris", "token_endpoint_auth_method", "grant_types", "response_types", "client_name", "client_uri",
    "logo_uri", "scope", "contacts", "tos_uri", "policy_uri", "jwks_uri", "jwks", "software_id", "software_version",
    "client_id", "client_id_issued_at", "client_secret_expires_at", "registration_client_uri",
    // OpenID Connect Dynamic Client Registration 1.0 and the logout specifications.
    "application_type", "sector_identifier_uri", "subject_type", "id_token_signed_response_alg",
    "id_token_encrypted_response_alg", "id_token_encrypted_response_enc", "userinfo_signed_response_alg",
    "userinfo_encrypted_response_alg", "userinfo_encrypted_response_enc", "request_object_signing_alg",
    "request_object_encryption_alg", "request_object_encryption_enc", "token_endpoint_auth_signing_alg",
    "default_max_age", "require_auth_time", "default_acr_values", "initiate_login_uri", "request_uris",
    "post_logout_redirect_uris", "frontchannel_logout_uri", "frontchannel_logout_session_required",
    "backchannel_logout_uri", "backchannel_logout_session_required", "claims_redirect_uris",
    // Later specifications: mutual TLS, JARM, JAR, PAR, RAR, DPoP, CIBA, introspection, native SSO.
    "tls_client_certificate_bound_access_tokens", "tls_client_auth_subject_dn", "tls_client_auth_san_dns",
    "tls_client_auth_san_uri", "tls_client_auth_san_ip", "tls_client_auth_san_email", "use_mtls_endpoint_aliases",
    "authorization_signed_response_alg", "authorization_encrypted_response_alg",
    "authorization_encrypted_response_enc", "require_signed_request_object",
    "require_pushed_authorization_requests", "authorization_details_types", "dpop_bound_access_tokens",
    "backchannel_token_delivery_mode", "backchannel_client_notification_endpoint",
    "backchannel_authentication_request_signing_alg", "backchannel_user_code_parameter",
    "introspection_signed_response_alg", "introspection_encrypted_response_alg",
    "introspection_encrypted_response_enc", "native_sso_enabled",
];

/// What drivers add, or read in answers beyond that: Keycloak, Gluu, Auth0.
#[rustfmt::skip]
const OF_DRIVERS: &[&str] = &[
    "default_scopes", "enabled", "access_token_as_jwt", "name", "callbacks", "app_type", "is_first_party",
];

/// A number beyond this, which is in the year 5138, counts milliseconds.
const LAST_SECOND: u64 = 100_000_000_000;

/// RFC 7518 section 6: parameters of a private or symmetric key.
const PRIVATE_PARAMETERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// True in the answer to a read where the client has another secret than the stored one. Only a driver whose provider
/// shows secrets as they are can say so: others show digests, which are no sign of anything.
pub const SECRET_CHANGED: &str = "portico_secret_changed";

/// Members that an update must not send back (RFC 7592 section 2.2).
const SERVER_MEMBERS: [&str; 5] = [
    "registration_access_token",
    "registration_client_uri",
    "client_id_issued_at",
    "client_secret_expires_at",
    SECRET_CHANGED,
];

/// What a provider says about a client, with the member names of RFC 7591 and without any secret or token.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(Map<String, Value>);

impl Metadata {
    /// Takes the members of an answer that are known metadata, and the public ones of keys.
    #[must_use]
    pub fn from_answer(mut members: Map<String, Value>) -> Self {
        members.retain(|name, _| Self::has_member(name));
        let keys = members
            .get_mut("jwks")
            .and_then(|jwks| jwks.get_mut("keys"));
        if let Some(keys) = keys.and_then(Value::as_array_mut) {
            let is_public = |key: &Value| {
                PRIVATE_PARAMETERS
                    .iter()
                    .all(|name| key.get(name).is_none())
            };
            keys.retain(is_public);
        }
        Self(members)
    }

    /// Whether a member of an answer is kept; it may have a language tag (RFC 7591 section 2.2).
    pub(crate) fn has_member(name: &str) -> bool {
        let name = name.split('#').next().unwrap_or(name);
        REGISTERED.contains(&name) || OF_DRIVERS.contains(&name)
    }

    /// As it would be if everything asked for were granted; what is known of a client that is there but cannot be read.
    #[must_use]
    pub fn assumed(wanted: &WantedClient) -> Self {
        Self(registration_members(wanted))
    }

    /// With a member that is the driver's own.
    #[must_use]
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0.insert(member.to_owned(), value.into());
        self
    }

    /// Takes out the members whose names are such.
    pub(super) fn take(&mut self, is_such: impl Fn(&str) -> bool) -> Self {
        let (taken, left) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(name, _)| is_such(name));
        self.0 = left;
        Self(taken)
    }

    pub(super) fn extend(&mut self, others: &Self) {
        self.0.extend(others.0.clone());
    }

    /// All members.
    #[must_use]
    pub fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A member that is a text.
    #[must_use]
    pub fn text(&self, member: &str) -> Option<&str> {
        self.0.get(member)?.as_str()
    }

    /// A member that is a list of texts, as a set. Some providers give one text instead, its words separated by spaces.
    #[must_use]
    pub fn list(&self, member: &str) -> Option<BTreeSet<String>> {
        match self.0.get(member)? {
            Value::String(text) => Some(text.split_whitespace().map(str::to_owned).collect()),
            Value::Array(values) => {
                let texts = values.iter().filter_map(Value::as_str);
                Some(texts.map(str::to_owned).collect())
            }
            _ => None,
        }
    }

    /// The scopes, which some providers give as an array instead of a string.
    #[must_use]
    pub fn scopes(&self) -> Option<BTreeSet<String>> {
        self.list("scope")
    }
}

/// What an update starts from: everything that the provider returned, less what only it may set, and less what is empty:
/// absent means the same (RFC 7592 section 2.2), and some refuse their own `null` or `{}`.
pub(crate) fn for_update(members: &Map<String, Value>) -> Map<String, Value> {
    let mut members = members.clone();
    members.retain(|name, value| !SERVER_MEMBERS.contains(&name.as_str()) && !is_empty(value));
    members
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// When a secret ends, in Unix seconds, 0: never (RFC 7591 section 3.2.1). Some give the number as a text, in milliseconds,
/// or a date instead. Beside it a warning, where that cannot be told.
pub(crate) fn secret_expires_at(members: &Map<String, Value>) -> (u64, Option<String>) {
    let seconds = match members.get("client_secret_expires_at") {
        None | Some(Value::Null) => Some(0),
        Some(Value::String(text)) => from_text(text.trim()),
        Some(value) => value.as_u64().or_else(|| whole(value.as_f64()?)),
    };
    let unclear =
        "client_secret_expires_at is no time, so it is not known whether the secret expires";
    match seconds {
        Some(milliseconds) if milliseconds > LAST_SECOND => (milliseconds / 1000, None),
        Some(seconds) => (seconds, None),
        None => (0, Some(unclear.to_owned())),
    }
}

fn from_text(text: &str) -> Option<u64> {
    if text.is_empty() || text.eq_ignore_ascii_case("never") {
        return Some(0);
    }
    let date = || {
        let zoned = jiff::fmt::rfc2822::parse(text).ok();
        let date = text.parse().ok().or(zoned.map(|zoned| zoned.timestamp()));
        u64::try_from(date?.as_second()).ok()
    };
    text.parse().ok().or_else(date)
}

fn whole(seconds: f64) -> Option<u64> {
    format!("{seconds:.0}").parse().ok()
}
