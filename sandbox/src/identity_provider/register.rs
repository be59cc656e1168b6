//! Dynamic client registration (RFC 7591) and its management (RFC 7592).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, PRAGMA};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::{Extension, Router, routing};
use serde_json::{Map, Value};

use super::behaviour::Operation;
use super::client::Client;
use super::error::OauthError;
use super::metadata::Metadata;
use super::provider::Provider;
use crate::secret;
use crate::server::Hangup;

/// Members that only the server may set (RFC 7592 section 2.2).
const SERVER_MEMBERS: [&str; 4] = [
    "registration_access_token",
    "registration_client_uri",
    "client_id_issued_at",
    "client_secret_expires_at",
];

pub(super) fn router() -> Router<Arc<Provider>> {
    Router::new()
        .route("/register", routing::post(register))
        .route("/v2/register", routing::post(register))
        .route(
            "/register/{client_id}",
            routing::get(read).put(update).delete(delete),
        )
}

type Shared = State<Arc<Provider>>;

async fn register(
    State(provider): Shared,
    Extension(hangup): Extension<Hangup>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if provider.lock().behaviour.moved && uri.path() == "/register" {
        return StatusCode::NOT_FOUND.into_response();
    }
    let work = || try_register(&provider, &headers, &body);
    provider.serve(Operation::Register, &hangup, work).await
}

fn try_register(
    provider: &Provider,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, OauthError> {
    let mut inner = provider.lock();
    inner.initial_access.check(bearer(headers))?;
    let behaviour = inner.behaviour.clone();
    let metadata = Metadata::grant(object(body)?, &inner.stored.scopes, &behaviour)?;
    let client = Client::register(metadata, provider.clock.epoch_seconds(), &behaviour);
    let mut information = client.information(&provider.registration_endpoint(), &behaviour);
    if behaviour.secret_withheld {
        information.remove("client_secret");
    }
    provider.change(&mut inner, |stored| {
        stored.clients.insert(client.client_id.clone(), client)
    })?;
    inner.initial_access.count();
    let status = if behaviour.created_is_200 {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok(answer(status, information))
}

async fn read(
    State(provider): Shared,
    Extension(hangup): Extension<Hangup>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let work = || try_read(&provider, &client_id, &headers);
    provider.serve(Operation::Read, &hangup, work).await
}

fn try_read(
    provider: &Provider,
    client_id: &str,
    headers: &HeaderMap,
) -> Result<Response, OauthError> {
    let mut inner = provider.lock();
    let mut client = inner.managed(client_id, bearer(headers))?;
    let behaviour = inner.behaviour.clone();
    if behaviour.rotate_on_read {
        client.registration_access_token = Some(secret::random(32));
        let rotated = client.clone();
        provider.change(&mut inner, |stored| {
            stored.clients.insert(rotated.client_id.clone(), rotated)
        })?;
    }
    Ok(answer(
        StatusCode::OK,
        client.read(&provider.registration_endpoint(), &behaviour),
    ))
}

async fn update(
    State(provider): Shared,
    Extension(hangup): Extension<Hangup>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let work = || try_update(&provider, &client_id, &headers, &body);
    provider.serve(Operation::Update, &hangup, work).await
}

fn try_update(
    provider: &Provider,
    client_id: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, OauthError> {
    let mut inner = provider.lock();
    let client = inner.managed(client_id, bearer(headers))?;
    let mut members = object(body)?;
    check_identity(&mut members, &client)?;
    let behaviour = inner.behaviour.clone();
    let metadata = Metadata::grant(members, &inner.stored.scopes, &behaviour)?;
    let updated = client.updated(metadata, &behaviour);
    let information = updated.information(&provider.registration_endpoint(), &behaviour);
    provider.change(&mut inner, |stored| {
        stored.clients.insert(updated.client_id.clone(), updated)
    })?;
    Ok(answer(StatusCode::OK, information))
}

/// RFC 7592 section 2.2: `client_id` must be the client's, `client_secret` if there
/// the present one, and the server's own members must not be there.
fn check_identity(members: &mut Map<String, Value>, client: &Client) -> Result<(), OauthError> {
    if let Some(member) = SERVER_MEMBERS
        .iter()
        .find(|member| members.contains_key(**member))
    {
        return Err(OauthError::metadata(format!(
            "{member} must not be in an update"
        )));
    }
    if members.remove("client_id").as_ref().and_then(Value::as_str) != Some(&client.client_id) {
        return Err(OauthError::metadata(
            "client_id is missing or is not this client's",
        ));
    }
    match members.remove("client_secret") {
        Some(secret) if secret.as_str() != client.client_secret.as_deref() => {
            Err(OauthError::metadata("client_secret is not the present one"))
        }
        _ => Ok(()),
    }
}

async fn delete(
    State(provider): Shared,
    Extension(hangup): Extension<Hangup>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let work = || try_delete(&provider, &client_id, &headers);
    provider.serve(Operation::Delete, &hangup, work).await
}

fn try_delete(
    provider: &Provider,
    client_id: &str,
    headers: &HeaderMap,
) -> Result<StatusCode, OauthError> {
    let mut inner = provider.lock();
    inner.managed(client_id, bearer(headers))?;
    provider.change(&mut inner, |stored| stored.clients.remove(client_id))?;
    Ok(StatusCode::NO_CONTENT)
}

fn object(body: &[u8]) -> Result<Map<String, Value>, OauthError> {
    serde_json::from_slice(body).map_err(|_| OauthError::metadata("the body is not a JSON object"))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then(|| token.trim())
}

fn answer(status: StatusCode, members: Map<String, Value>) -> Response {
    (
        status,
        [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")],
        Json(members),
    )
        .into_response()
}
