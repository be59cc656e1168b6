//! Error answers: RFC 6749 section 5.2, RFC 6750 section 3.1, RFC 7591 section 3.2.2.

use axum::http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;

/// An OAuth error as the client gets it.
#[derive(Debug)]
pub(super) struct OauthError {
    status: StatusCode,
    error: &'static str,
    description: String,
    challenge: Option<&'static str>,
}

impl OauthError {
    fn bad_request(error: &'static str, description: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error,
            description: description.into(),
            challenge: None,
        }
    }

    /// RFC 7591: a member of the metadata has a value that is not allowed.
    pub(super) fn metadata(description: impl Into<String>) -> Self {
        Self::bad_request("invalid_client_metadata", description)
    }

    /// RFC 7591: a redirect URI is missing or not allowed.
    pub(super) fn redirect_uri(description: impl Into<String>) -> Self {
        Self::bad_request("invalid_redirect_uri", description)
    }

    /// RFC 6749: the token request is malformed.
    pub(super) fn request(description: impl Into<String>) -> Self {
        Self::bad_request("invalid_request", description)
    }

    /// RFC 6749: a scope was asked for that the client was not granted.
    pub(super) fn scope(description: impl Into<String>) -> Self {
        Self::bad_request("invalid_scope", description)
    }

    /// RFC 6749: a grant type that this client may not use.
    pub(super) fn unauthorized_client() -> Self {
        Self::bad_request(
            "unauthorized_client",
            "the client is not registered for this grant type",
        )
    }

    /// RFC 6749: a grant type that nobody may use here.
    pub(super) fn grant_type() -> Self {
        Self::bad_request(
            "unsupported_grant_type",
            "only client_credentials is issued here",
        )
    }

    /// RFC 6749: the client did not prove who it is.
    pub(super) fn client(description: impl Into<String>) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_client",
            description: description.into(),
            challenge: Some(r#"Basic realm="sandbox""#),
        }
    }

    /// RFC 6750: the bearer token is missing, unknown, rotated away or used up.
    pub(super) fn token(description: impl Into<String>) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_token",
            description: description.into(),
            challenge: Some(r#"Bearer realm="sandbox", error="invalid_token""#),
        }
    }

    /// The data file could not be written: nothing was changed.
    pub(super) fn storage(error: &std::io::Error) -> Self {
        tracing::error!(%error, "cannot write the data file");
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            error: "server_error",
            description: "the change could not be stored".to_owned(),
            challenge: None,
        }
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        let body = json!({"error": self.error, "error_description": self.description});
        let mut response = (self.status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response();
        if let Some(challenge) = self.challenge {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}
