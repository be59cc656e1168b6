//! What is answered on a connection for which there is no room, and to a request whose body breaks off.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use portico_proto::{Error, Kind};
use tonic::Status;

use super::{places::Full, uploads::Fault};
use crate::edge::problem;

/// Orchestrators ask these of the same address as everybody; a process that is busy is not ill.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/grpc.health.v1.Health/Check"];
/// When to try again.
const AFTER: Duration = Duration::from_secs(5);

/// The refusal of a connection; `None` for a probe, which is answered as ever.
pub(super) fn answer(full: Full, request: &Request) -> Option<Response> {
    let probe = PROBES.contains(&request.uri().path());
    (!probe).then(|| respond(error(full), None, is_grpc(request.headers())))
}

/// The refusal of a request whose body was not read to its end.
pub(super) fn broken_off(fault: Fault, version: Version, grpc: bool) -> Response {
    let error = match fault {
        Fault::Stalled => {
            let message = "The rest of the request's body did not come in time; send it again.";
            let error = Error::new(Kind::Invalid, "body_stalled", message);
            let mut response = respond(error, Some(StatusCode::REQUEST_TIMEOUT), grpc);
            if version < Version::HTTP_2 {
                // RFC 9110 section 15.5.9: the rest is not waited for.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            return response;
        }
        Fault::Full(Full::Address) => Error::new(
            Kind::Limited,
            "too_many_bodies",
            "Your network address sends too much at the same time; try again in a moment.",
        ),
        Fault::Full(Full::All) => Error::unavailable(
            "bodies_exhausted",
            "The portal receives as much at the same time as it can; try again in a moment.",
        ),
    };
    respond(error.with_retry_after(AFTER), None, grpc)
}

/// Whether a request is a gRPC call.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// The error, with its own status where HTTP has no other.
fn respond(error: Error, status: Option<StatusCode>, grpc: bool) -> Response {
    if grpc {
        return Status::from(error).into_http::<Body>();
    }
    let status = status.unwrap_or_else(|| error.http_status());
    let mut problem = error.problem("");
    problem.status = status.as_u16();
    let mut response = (status, Json(problem)).into_response();
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_static(problem::MEDIA_TYPE);
    headers.insert(header::CONTENT_TYPE, media_type);
    problem::retry_after(&error, headers);
    response
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
