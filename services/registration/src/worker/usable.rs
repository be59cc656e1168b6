//! Whether a client can get a token at all, by what its provider granted: what is announced as ready must be able to.

use jiff::Timestamp;
use portico_vault::Secret;

use super::texts::impersonal;
use crate::client_metadata::{Metadata, WantedClient};
use crate::oauth_client::{Answered, Live, Problem};
use crate::providers::{Disposition, Driver, Failure, KnownClient, RegisteredClient, Session};

/// RFC 7591 section 2, RFC 8705 section 2.1: methods that need a key.
const BY_KEY: [&str; 3] = [
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
];
/// Metadata that tell of the key.
const KEYS: [&str; 7] = [
    "jwks",
    "jwks_uri",
    "tls_client_auth_subject_dn",
    "tls_client_auth_san_dns",
    "tls_client_auth_san_uri",
    "tls_client_auth_san_ip",
    "tls_client_auth_san_email",
];
const CLIENT_CREDENTIALS: &str = "client_credentials";
/// RFC 7591 section 3.2.1.
pub(super) const EXPIRES: &str = "client_secret_expires_at";

/// Codes of a client that lacks nothing but another secret.
const MISSING: &str = "client_secret_missing";
const EXPIRED: &str = "client_secret_expired";

/// Why nobody can get a token by this client. `None` where nothing speaks against it.
pub(super) fn unusable(
    wanted: &WantedClient,
    answer: &Answered,
    now: Timestamp,
) -> Option<Problem> {
    let granted = &answer.granted;
    let method = auth_method(wanted, granted);
    let problem = |code: &str, reason: String| {
        let code = code.to_owned();
        Some(Problem { code, reason })
    };
    let grants = granted.list("grant_types");
    let grants = grants.as_ref().unwrap_or(&wanted.grant_types);
    if !wanted.grant_types.is_empty() && grants.is_disjoint(&wanted.grant_types) {
        let reason = "the provider granted none of the grant types that were asked for".to_owned();
        return problem("grant_types_not_granted", reason);
    }
    if BY_KEY.contains(&method) && KEYS.iter().all(|key| !granted.members().contains_key(*key)) {
        let reason = format!(
            "the provider granted the authentication method {method}, which needs a key, and no key of the client is known"
        );
        return problem("auth_method_unusable", reason);
    }
    if method == "none" && grants.iter().all(|grant| grant == CLIENT_CREDENTIALS) {
        let reason = "the provider granted no authentication to a client that gets tokens by client_credentials, which \
                      is for clients with one (RFC 6749 section 4.4)";
        return problem("auth_method_unusable", reason.to_owned());
    }
    if !needs_secret(method) {
        return None;
    }
    if answer.secret_ref.is_none() {
        let reason =
            "the provider registered the client without a secret that can be used".to_owned();
        return problem(MISSING, reason);
    }
    let expires = i64::try_from(answer.secret_expires_at).ok()?;
    let reason = "the provider says that the secret of the client has expired already (client_secret_expires_at)";
    let has_expired = (1..=now.as_second()).contains(&expires);
    has_expired
        .then(|| problem(EXPIRED, reason.to_owned()))
        .flatten()
}

/// The client with a secret, where it needs one and this answer brought none: it is given one, or asked for it, as far as
/// the provider has a way. Without any way it stays as it is. `known`: as it was before the answer.
///
/// # Errors
/// The provider did not answer: to be tried again.
pub(super) async fn with_secret(
    driver: &dyn Driver,
    session: &Session<'_>,
    wanted: &WantedClient,
    chosen: &Secret,
    known: KnownClient,
    answered: RegisteredClient,
) -> Result<RegisteredClient, Failure> {
    let is_complete = answered.client_secret.is_some();
    if is_complete || !needs_secret(auth_method(wanted, &answered.granted)) {
        return Ok(answered);
    }
    let known = answered.clone().merge_into(known, wanted.scopes.clone());
    let session = &session.about(&known);
    let given = match driver.rotate_secret(session, &known, chosen).await {
        Err(failure) if failure.code == "secret_rotation_unsupported" => {
            driver.fetch_secret(session, &known).await
        }
        given => given,
    };
    match given {
        Ok(given) => Ok(with_later(answered, given)),
        Err(failure) if failure.outcome_unknown || failure.disposition == Disposition::Retry => {
            Err(failure.retry().unknown_outcome())
        }
        Err(failure) => {
            let failure = impersonal(failure, wanted);
            tracing::warn!(
                client_id = answered.client_id,
                code = failure.code,
                reason = failure.description,
                "a client has no secret that can be used, and cannot be given one"
            );
            Ok(answered)
        }
    }
}

/// Whether another secret would mend the client.
pub(super) fn lacks_secret(live: &Live) -> bool {
    let unusable = live.answer.unusable.as_ref();
    unusable.is_some_and(|problem| [MISSING, EXPIRED].contains(&problem.code.as_str()))
}

/// An answer with what a later one brought to it.
pub(super) fn with_later(answered: RegisteredClient, later: RegisteredClient) -> RegisteredClient {
    if later.client_id != answered.client_id {
        return answered;
    }
    let mut both = RegisteredClient {
        registration_access_token: later
            .registration_access_token
            .or(answered.registration_access_token),
        ..answered
    };
    if later.client_secret.is_none() {
        return both;
    }
    both.client_secret = later.client_secret;
    // It ends with the secret that it is about.
    if let Some(ends) = later.granted.members().get(EXPIRES) {
        both.client_secret_expires_at = later.client_secret_expires_at;
        both.granted = both.granted.with(EXPIRES, ends.clone());
    }
    both
}

/// As granted; silence means as asked.
fn auth_method<'a>(wanted: &'a WantedClient, granted: &'a Metadata) -> &'a str {
    let granted = granted.text("token_endpoint_auth_method");
    granted.unwrap_or(wanted.auth_method())
}

fn needs_secret(method: &str) -> bool {
    method.starts_with("client_secret_")
}

#[cfg(test)]
mod tests {
    use portico_vault::VaultRef;
    use serde_json::{Value, json};

    use super::*;
    use crate::providers::double::wanted;

    const NOW: i64 = 1_800_000_000;

    fn code(granted: &Value, has_secret: bool, expires_at: i64) -> Option<String> {
        let answer = Answered {
            client_id: "c1".into(),
            secret_ref: has_secret.then(|| VaultRef(uuid::Uuid::nil())),
            secret_expires_at: expires_at.try_into().unwrap(),
            granted: Metadata::from_answer(granted.as_object().unwrap().clone()),
            ..Answered::default()
        };
        let now = Timestamp::from_second(NOW).unwrap();
        unusable(&wanted(&["a"]), &answer, now).map(|problem| problem.code)
    }

    #[test]
    fn only_a_client_that_can_get_a_token_is_usable() {
        let nothing = json!({});
        assert_eq!(code(&nothing, true, 0), None);
        assert_eq!(code(&nothing, true, NOW + 1), None);
        let expired = Some("client_secret_expired".to_owned());
        assert_eq!(code(&nothing, true, NOW), expired);
        assert_eq!(code(&nothing, true, 1), expired);
        let missing = Some("client_secret_missing".to_owned());
        assert_eq!(code(&nothing, false, 0), missing);
        for (granted, expected) in [
            (
                json!({"grant_types": ["client_credentials", "refresh_token"]}),
                None,
            ),
            (
                json!({"grant_types": ["refresh_token"]}),
                Some("grant_types_not_granted"),
            ),
            (json!({"grant_types": []}), Some("grant_types_not_granted")),
            (
                json!({"token_endpoint_auth_method": "client_secret_post"}),
                None,
            ),
            (
                json!({"token_endpoint_auth_method": "client_secret_jwt"}),
                None,
            ),
            (
                json!({"token_endpoint_auth_method": "private_key_jwt"}),
                Some("auth_method_unusable"),
            ),
            (
                json!({"token_endpoint_auth_method": "tls_client_auth"}),
                Some("auth_method_unusable"),
            ),
            (
                json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://a.example"}),
                None,
            ),
            (
                json!({"token_endpoint_auth_method": "none"}),
                Some("auth_method_unusable"),
            ),
            (
                json!({"token_endpoint_auth_method": "none", "grant_types": ["client_credentials", "authorization_code"]}),
                None,
            ),
        ] {
            assert_eq!(code(&granted, true, 0).as_deref(), expected, "{granted}");
        }
    }
}
