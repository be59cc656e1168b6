//! The token endpoint of a double (RFC 6749 section 4.4): it authenticates a client in the way that it is registered
//! for, and signs what the double says the client may have.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::stage::{ReceivedRequest, Reply, oauth_error};
use crate::clock::SandboxClock;
use crate::jws::SigningKey;
use crate::secret;

/// How long a token is good for, in seconds.
const LIFETIME: i64 = 300;

/// Who asks for a token, and how the secret came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Client id from the request.
    pub client_id: String,
    /// Client secret from the request.
    pub client_secret: String,
    /// `client_secret_basic` or `client_secret_post`.
    pub method: &'static str,
}

/// Reads the credentials of a token request.
///
/// # Errors
/// The answer to one without any.
pub fn claimed(asked: &ReceivedRequest) -> Result<Claimed, Reply> {
    let refused = || oauth_error(401, "invalid_client", "Client authentication failed.");
    if let Some(pair) = asked.authorization("Basic") {
        let pair = STANDARD.decode(pair).map_err(|_| refused())?;
        let pair = String::from_utf8(pair).map_err(|_| refused())?;
        let (id, secret) = pair.split_once(':').ok_or_else(refused)?;
        return Ok(Claimed {
            client_id: decoded(id),
            client_secret: decoded(secret),
            method: "client_secret_basic",
        });
    }
    let mut form = asked.form();
    match (form.remove("client_id"), form.remove("client_secret")) {
        (Some(client_id), Some(client_secret)) => Ok(Claimed {
            client_id,
            client_secret,
            method: "client_secret_post",
        }),
        _ => Err(refused()),
    }
}

fn decoded(text: &str) -> String {
    let pair = format!("x={text}");
    let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
    pairs
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

/// The scopes that a request names, none where it names none.
#[must_use]
pub fn asked_scopes(asked: &ReceivedRequest) -> Vec<String> {
    let form = asked.form();
    let scopes = form.get("scope").map(String::as_str).unwrap_or_default();
    scopes.split_whitespace().map(str::to_owned).collect()
}

/// The scopes in a member that has them in one text.
#[must_use]
pub fn words(scope: Option<&Value>) -> Vec<String> {
    let scope = scope.and_then(Value::as_str).unwrap_or_default();
    scope.split_whitespace().map(str::to_owned).collect()
}

/// Whether a client is registered for tokens without a user (RFC 6749 section 4.4).
#[must_use]
pub fn has_client_credentials(members: &Map<String, Value>) -> bool {
    let grants = members.get("grant_types").and_then(Value::as_array);
    grants.is_some_and(|grants| grants.iter().any(|one| one == "client_credentials"))
}

/// Signs access tokens.
pub struct Mint {
    issuer: String,
    key: SigningKey,
    clock: SandboxClock,
}

impl Mint {
    /// For this issuer.
    #[must_use]
    pub fn new(issuer: String, key: SigningKey, clock: SandboxClock) -> Self {
        Self { issuer, key, clock }
    }

    /// RFC 7517 section 5.
    #[must_use]
    pub fn jwks(&self) -> Reply {
        Reply::json(200, &self.key.jwks())
    }

    /// Unix seconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.clock.epoch_seconds()
    }

    /// An answer with a token for these scopes (RFC 6749 section 5.1), and these claims beside the usual ones.
    #[must_use]
    pub fn issue(&self, client_id: &str, scopes: &[String], more: Map<String, Value>) -> Reply {
        let now = self.now();
        let scope = scopes.join(" ");
        let mut claims = json!({
            "iss": self.issuer, "sub": client_id, "client_id": client_id, "iat": now,
            "exp": now + LIFETIME, "jti": secret::random(12), "scope": scope,
        });
        if let Value::Object(claims) = &mut claims {
            claims.extend(more);
        }
        match self.key.sign(&claims) {
            Ok(token) => Reply::json(
                200,
                &json!({
                    "access_token": token, "token_type": "Bearer", "expires_in": LIFETIME, "scope": scope,
                }),
            )
            .with("cache-control", "no-store"),
            Err(error) => oauth_error(500, "server_error", &error.to_string()),
        }
    }
}
