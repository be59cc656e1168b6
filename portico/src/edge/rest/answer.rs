//! Writing an answer: single resources with their version, lists, and what nobody may keep a copy of.

use axum::{
    Json,
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, header};
use portico_proto::Error;
use serde::Serialize;
use utoipa::ToSchema;

use super::etag;
use crate::edge::problem::Failure;

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
        let body = match serde_json::to_vec(&self.body) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(%error, "a resource could not be written");
                return Failure::from(Error::internal()).into_response();
            }
        };
        // Without a version there is nothing to compare.
        let tag = (self.version > 0).then(|| HeaderValue::try_from(etag::of(self.version, &body)));
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let location = self
            .location
            .and_then(|path| HeaderValue::try_from(path).ok());
        if let Some(location) = location {
            headers.insert(header::LOCATION, location);
        }
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
    let held: Vec<HeaderValue> = {
        let lines = request.headers().get_all(header::IF_NONE_MATCH);
        lines.iter().cloned().collect()
    };
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("private, no-cache"));
    let unchanged = reads
        && response.status() == StatusCode::OK
        && response
            .headers()
            .get(header::ETAG)
            .is_some_and(|tag| held.iter().any(|line| holds(line, tag)));
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
    let tags = etag::list(held).unwrap_or_default();
    held.trim() == "*" || tags.iter().any(|one| tag.trim_matches('"') == one.opaque)
}
