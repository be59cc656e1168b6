//! What is answered on a connection for which there is no room.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, header};
use portico_proto::{Error, Kind};
use tonic::Status;

use super::places::Full;
use crate::edge::problem;

/// Orchestrators ask these of the same address as everybody; a process that is busy is not ill.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/grpc.health.v1.Health/Check"];
/// When to try again.
const AFTER: Duration = Duration::from_secs(5);

/// The refusal; `None` for a probe, which is answered as ever.
pub(super) fn answer(full: Full, request: &Request) -> Option<Response> {
    if PROBES.contains(&request.uri().path()) {
        return None;
    }
    let error = error(full);
    let kind = request.headers().get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return Some(Status::from(error).into_http::<Body>());
    }
    let body = Json(error.problem(""));
    let mut response = (error.http_status(), body).into_response();
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_static(problem::MEDIA_TYPE);
    headers.insert(header::CONTENT_TYPE, media_type);
    problem::retry_after(&error, headers);
    Some(response)
}

fn error(full: Full) -> Error {
    match full {
        Full::Address => Error::new(
            Kind::Limited,
            "too_many_connections",
            "Your network address has too many connections at work; close some, or try again in a moment.",
        ),
        Full::All => Error::unavailable(
            "connections_exhausted",
            "The portal has as many connections at work as it can; try again in a moment.",
        ),
    }
    .with_retry_after(AFTER)
}
