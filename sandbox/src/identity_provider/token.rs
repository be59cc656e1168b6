//! The token endpoint (RFC 6749 sections 2.3.1, 3.2, 4.4): client credentials only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, PRAGMA};
use axum::response::{IntoResponse, Json, Response};
use axum::{Extension, Router, routing};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::behaviour::{Behaviour, Operation};
use super::client::Client;
use super::error::OauthError;
use super::metadata::joined;
use super::provider::{Inner, Provider};
use crate::secret;
use crate::server::Hangup;

pub(super) fn router() -> Router<Arc<Provider>> {
    Router::new().route("/token", routing::post(token))
}

async fn token(
    State(provider): State<Arc<Provider>>,
    Extension(hangup): Extension<Hangup>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let work = || issue(&provider, &headers, &body);
    provider.serve(Operation::Token, &hangup, work).await
}

fn issue(provider: &Provider, headers: &HeaderMap, body: &[u8]) -> Result<Response, OauthError> {
    let form = form(body)?;
    let (client, behaviour) = {
        let inner = provider.lock();
        (
            authenticate(&inner, headers, &form)?,
            inner.behaviour.clone(),
        )
    };
    match form.get("grant_type").map(String::as_str) {
        None => return Err(OauthError::request("grant_type is missing")),
        Some("client_credentials") => (),
        Some(_) => return Err(OauthError::grant_type()),
    }
    if !client
        .metadata
        .grant_types
        .iter()
        .any(|grant| grant == "client_credentials")
    {
        return Err(OauthError::unauthorized_client());
    }
    let scopes = scopes(&client, form.get("scope").map(String::as_str))?;
    let claims = claims(provider, &client, &scopes, &behaviour);
    let token = provider
        .key
        .sign(&Value::Object(claims))
        .map_err(|error| OauthError::request(error.to_string()))?;
    let answer = json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": provider.token_lifetime_seconds,
        "scope": joined(&scopes),
    });
    Ok((
        [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")],
        Json(answer),
    )
        .into_response())
}

/// The form, where no parameter may stand twice (RFC 6749 section 3.2). A parameter without a value counts as left out.
fn form(body: &[u8]) -> Result<BTreeMap<String, String>, OauthError> {
    let mut form = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(body).filter(|(_, value)| !value.is_empty()) {
        if form
            .insert(name.clone().into_owned(), value.into_owned())
            .is_some()
        {
            return Err(OauthError::request(format!("{name} stands twice")));
        }
    }
    Ok(form)
}

/// Accepts the method the client is registered for, and no other.
fn authenticate(
    inner: &Inner,
    headers: &HeaderMap,
    form: &BTreeMap<String, String>,
) -> Result<Client, OauthError> {
    let in_header = basic(headers)?;
    let in_body = form
        .get("client_secret")
        .map(|secret| (form.get("client_id").cloned(), secret.clone()));
    let (method, id, secret) = match (in_header, in_body) {
        (Some(_), Some(_)) => {
            return Err(OauthError::request(
                "two ways of client authentication at once",
            ));
        }
        (Some((id, secret)), None) => ("client_secret_basic", id, secret),
        (None, Some((Some(id), secret))) => ("client_secret_post", id, secret),
        (None, _) => return Err(OauthError::client("client authentication is missing")),
    };
    let refused = || OauthError::client("the client is not known, or its secret is wrong");
    let client = inner.stored.clients.get(&id).ok_or_else(refused)?;
    if client.metadata.token_endpoint_auth_method != method {
        return Err(OauthError::client(format!(
            "the client is not registered for {method}"
        )));
    }
    match &client.client_secret {
        Some(expected) if secret::same(expected, &secret) => Ok(client.clone()),
        _ => Err(refused()),
    }
}

/// The id and the secret, each form-encoded before they were put together (RFC 6749 section 2.3.1).
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, OauthError> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let malformed = || OauthError::client("the Authorization header is not HTTP Basic");
    let (scheme, encoded) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed());
    }
    let bytes = STANDARD.decode(encoded.trim()).map_err(|_| malformed())?;
    let text = String::from_utf8(bytes).map_err(|_| malformed())?;
    let (id, secret) = text.split_once(':').ok_or_else(malformed)?;
    Ok(Some((form_decoded(id), form_decoded(secret))))
}

fn form_decoded(text: &str) -> String {
    let pair = format!("x={text}");
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// What was asked for if all of it was granted; everything granted if nothing was asked for.
fn scopes(client: &Client, asked: Option<&str>) -> Result<BTreeSet<String>, OauthError> {
    let granted = &client.metadata.scopes;
    let asked: BTreeSet<String> = asked
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    if let Some(missing) = asked.difference(granted).next() {
        return Err(OauthError::scope(format!(
            "scope {missing:?} is not granted to the client"
        )));
    }
    Ok(if asked.is_empty() {
        granted.clone()
    } else {
        asked
    })
}

fn claims(
    provider: &Provider,
    client: &Client,
    scopes: &BTreeSet<String>,
    behaviour: &Behaviour,
) -> Map<String, Value> {
    let issued_at = provider.clock.epoch_seconds();
    let claims = json!({
        "iss": provider.url,
        "sub": client.client_id,
        "azp": client.client_id,
        "iat": issued_at,
        "exp": issued_at + provider.token_lifetime_seconds,
        "jti": secret::random(16),
    });
    let Value::Object(mut claims) = claims else {
        return Map::new();
    };
    if !scopes.is_empty() {
        let name = behaviour
            .scope_claim
            .clone()
            .unwrap_or_else(|| "scope".to_owned());
        let value = if behaviour.scope_as_array {
            json!(scopes)
        } else {
            joined(scopes).into()
        };
        claims.insert(name, value);
    }
    claims.extend(behaviour.extra_claims.clone());
    claims
}
