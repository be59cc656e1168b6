//! Id, span and log line of every request from outside.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method};
use opentelemetry::KeyValue;
use portico_eventstore::trace;
use tracing::{Instrument as _, field::Empty};
use uuid::Uuid;

use super::context;
use crate::{clock::Clock, metrics::instruments};

/// Header with the id of a request, in both directions.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static(crate::REQUEST_ID);

/// The id of a request: its own header if that is a UUID, so that nobody can write arbitrary text into our logs;
/// otherwise a new one.
#[must_use]
pub fn request_id(given: Option<&str>, clock: &Clock) -> Uuid {
    given
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| clock.new_id())
}

/// Middleware: gives a request its id, puts all that is logged for it into one span, logs its end and measures it.
/// Handlers find the id in the header `x-request-id` of the request; the caller, in that of the response. A
/// `traceparent` that came with it is followed.
///
/// The route is told as it is declared (`/applications/{id}`), since a path may hold a token.
pub async fn trace(State(clock): State<Clock>, mut request: Request, next: Next) -> Response {
    let id = identified(&mut request, &clock);
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    let method = method(request.method());
    let span = tracing::info_span!(
        target: trace::EXPORTED,
        "request",
        otel.name = format_args!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        request_id = %id,
    );
    context::follow(&span, request.headers());
    let lines = tracing::info_span!("request", request_id = %id, method, route, trace_id = trace::id(&span));
    let started = Instant::now();
    let work = next.run(request).instrument(lines.clone());
    let mut response = trace::correlated(id, work.instrument(span.clone())).await;
    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    span.record("http.response.status_code", status);
    let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    lines.in_scope(|| tracing::info!(status, duration_ms, "answered {status}"));
    instruments().http_request_duration.record(
        elapsed.as_secs_f64(),
        &[
            KeyValue::new("route", route),
            KeyValue::new("method", method),
            KeyValue::new("status", i64::from(status)),
        ],
    );
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The id of a request, which it has in its headers from now on.
pub(super) fn identified(request: &mut Request, clock: &Clock) -> Uuid {
    let given = request.headers().get(&REQUEST_ID);
    let id = request_id(given.and_then(|id| id.to_str().ok()), clock);
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        request.headers_mut().insert(REQUEST_ID, value);
    }
    id
}

/// Invented methods must not become metric labels.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
