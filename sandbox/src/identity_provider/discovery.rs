//! The well-known document (OpenID Connect Discovery 1.0 section 3, RFC 8414), the
//! public keys, and an authorization endpoint that has nobody to ask.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Redirect, Response};
use axum::{Extension, Router, routing};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::behaviour::Operation;
use super::metadata::AUTH_METHODS;
use super::provider::Provider;
use crate::server::Hangup;

pub(super) fn router() -> Router<Arc<Provider>> {
    Router::new()
        .route("/.well-known/openid-configuration", routing::get(document))
        .route("/jwks", routing::get(jwks))
        .route("/authorize", routing::get(authorize))
}

async fn document(
    State(provider): State<Arc<Provider>>,
    Extension(hangup): Extension<Hangup>,
) -> Response {
    let work = || try_document(&provider);
    provider.serve(Operation::Discovery, &hangup, work).await
}

fn try_document(provider: &Provider) -> Response {
    let url = &provider.url;
    let inner = provider.lock();
    let issuer = inner
        .behaviour
        .issuer
        .clone()
        .unwrap_or_else(|| url.clone());
    let announced = !inner.behaviour.registration_unannounced;
    let registration_endpoint = match inner.behaviour.moved {
        true => format!("{url}/v2/register"),
        false => provider.registration_endpoint(),
    };
    let registration_endpoint = announced.then_some(registration_endpoint);
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/jwks"),
        "registration_endpoint": registration_endpoint,
        "scopes_supported": inner.stored.scopes,
        "response_types_supported": ["code"],
        "grant_types_supported": ["client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": AUTH_METHODS,
    }))
    .into_response()
}

async fn jwks(
    State(provider): State<Arc<Provider>>,
    Extension(hangup): Extension<Hangup>,
) -> Response {
    let work = || Json(provider.key.jwks());
    provider.serve(Operation::Jwks, &hangup, work).await
}

#[derive(Deserialize)]
struct AuthorizationRequest {
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    redirect_uri: String,
    state: Option<String>,
}

/// There are no people here to log in, so a sound request is sent back with `access_denied`; one with a foreign
/// redirect URI goes nowhere (RFC 6749 section 4.1.2.1).
async fn authorize(
    State(provider): State<Arc<Provider>>,
    Query(request): Query<AuthorizationRequest>,
) -> Response {
    let registered = {
        let inner = provider.lock();
        let client = inner.stored.clients.get(&request.client_id);
        client.is_some_and(|client| {
            client
                .metadata
                .redirect_uris
                .contains(&request.redirect_uri)
        })
    };
    let Some(mut target) = Url::parse(&request.redirect_uri)
        .ok()
        .filter(|_| registered)
    else {
        return (
            StatusCode::BAD_REQUEST,
            "client_id or redirect_uri is not registered",
        )
            .into_response();
    };
    target
        .query_pairs_mut()
        .append_pair("error", "access_denied")
        .append_pair(
            "error_description",
            "this sandbox has no users, only clients",
        )
        .extend_pairs(request.state.map(|state| ("state", state)));
    Redirect::to(target.as_str()).into_response()
}
