//! Writing an answer: single resources with their version, lists, and what nobody may keep a copy of.

use axum::{
    Json,
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

/// Where the API begins.
pub const PREFIX: &str = "/api/v1";

/// One resource.
pub(super) struct Single<T> {
    status: StatusCode,
    version: u64,
    location: Option<String>,
    body: T,
}

impl<T> Single<T> {
    /// 200.
    pub(super) fn ok(version: u64, body: T) -> Self {
        Self {
            status: StatusCode::OK,
            version,
            location: None,
            body,
        }
    }

    /// 201, with its address below the prefix.
    pub(super) fn created(path: &str, version: u64, body: T) -> Self {
        Self {
            status: StatusCode::CREATED,
            location: Some(format!("{PREFIX}/{path}")),
            ..Self::ok(version, body)
        }
    }

    /// 202: it goes on; look at this address.
    pub(super) fn accepted(path: &str, version: u64, body: T) -> Self {
        Self {
            status: StatusCode::ACCEPTED,
            ..Self::created(path, version, body)
        }
    }
}

impl<T: Serialize> IntoResponse for Single<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        let location = self
            .location
            .and_then(|path| HeaderValue::try_from(path).ok());
        if let Some(location) = location {
            headers.insert(header::LOCATION, location);
        }
        // Without a version there is nothing to compare.
        let tag =
            (self.version > 0).then(|| HeaderValue::try_from(format!("\"{}\"", self.version)));
        if let Some(Ok(tag)) = tag {
            headers.insert(header::ETAG, tag);
        }
        response
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List<T> {
    /// In the order asked for.
    items: Vec<T>,
    /// `after` of the next page; null where this is the last.
    next: Option<String>,
}

impl<T> List<T> {
    /// From a service's answer; an empty cursor says that there is no more.
    pub(super) fn new<S: Into<T>>(items: Vec<S>, next: String) -> Self {
        Self {
            items: items.into_iter().map(Into::into).collect(),
            next: given(next),
        }
    }
}

impl<T: Serialize> IntoResponse for List<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// A secret is in it: no copy anywhere.
pub(super) struct Unstored<T>(pub(super) T);

impl<T: IntoResponse> IntoResponse for Unstored<T> {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// Null where a service says "empty".
pub(super) fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Middleware: `If-None-Match` (RFC 9110 section 13.1.2) turns an unchanged answer into 304.
pub(super) async fn conditional(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let held = request.headers().get(header::IF_NONE_MATCH).cloned();
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("private, no-cache"));
    let unchanged = reads
        && response.status() == StatusCode::OK
        && match (&held, response.headers().get(header::ETAG)) {
            (Some(held), Some(tag)) => holds(held, tag),
            _ => false,
        };
    if !unchanged {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, axum::body::Body::empty())
}

/// Weak comparison, as reading needs it.
fn holds(held: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(held), Ok(tag)) = (held.to_str(), tag.to_str()) else {
        return false;
    };
    held.split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}
