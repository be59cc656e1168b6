//! Span, log line and duration metric of every gRPC call.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;
use opentelemetry::KeyValue;
use portico_eventstore::trace;
use tonic::Code;
use tracing::{Instrument as _, Level, field::Empty};

use super::context;
use super::request::{REQUEST_ID, identified};
use crate::{channel::methods, clock::Clock, metrics::instruments};

/// State of the middleware [`calls`]: who answers.
#[derive(Clone)]
pub struct Answering {
    /// A service's name, or `edge` for the public listener.
    pub service: &'static str,
    /// Makes the id of a call that has none.
    pub clock: Clock,
}

/// Middleware of gRPC methods: correlates a call with the request from outside that caused it, whose id is in
/// `x-request-id`. The public listener logs the end of each call; between services it is logged at the level `debug`.
pub async fn calls(
    State(answering): State<Answering>,
    mut request: Request,
    next: Next,
) -> Response {
    let Answering { service, clock } = answering;
    let id = identified(&mut request, &clock);
    let method = known(request.uri().path());
    let span = tracing::info_span!(
        target: trace::EXPORTED,
        "call",
        otel.name = method,
        otel.kind = "server",
        rpc.system = "grpc",
        rpc.method = method,
        rpc.grpc.status_code = Empty,
        portico.service = service,
        request_id = %id,
    );
    context::follow(&span, request.headers());
    let lines = tracing::info_span!(
        "call",
        service,
        request_id = %id,
        method,
        trace_id = trace::id(&span)
    );
    let started = Instant::now();
    let work = next.run(request).instrument(lines.clone());
    let mut response = trace::correlated(id, work.instrument(span.clone())).await;
    let elapsed = started.elapsed();
    let code = code(&response);
    span.record("rpc.grpc.status_code", i64::from(i32::from(code)));
    let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    lines.in_scope(|| {
        if service == EDGE {
            tracing::info!(?code, duration_ms, "answered {code:?}");
        } else if tracing::enabled!(Level::DEBUG) {
            tracing::debug!(?code, duration_ms, "answered {code:?}");
        }
    });
    instruments().grpc_request_duration.record(
        elapsed.as_secs_f64(),
        &[
            KeyValue::new("service", service),
            KeyValue::new("method", method),
            KeyValue::new("code", format!("{code:?}")),
        ],
    );
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The public listener.
pub const EDGE: &str = "edge";

/// The method of a path, if it is in the contracts: invented paths must not become span names or metric labels.
fn known(path: &str) -> &'static str {
    if path.starts_with("/grpc.health.v1.Health/") {
        return "grpc.health.v1.Health";
    }
    let method = methods::all().get_key_value(path);
    method.map_or("other", |(path, _)| path.trim_start_matches('/'))
}

/// The status of a response without messages. A stream that fails later counts as begun successfully.
fn code(response: &Response) -> Code {
    if !response.status().is_success() {
        return Code::Unimplemented;
    }
    match response.headers().get("grpc-status") {
        Some(status) => Code::from_bytes(status.as_bytes()),
        None => Code::Ok,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_methods_of_the_contracts_are_named() {
        let method = "portico.access.v1.AccessService/ApproveAccessRequest";
        assert_eq!(known(&format!("/{method}")), method);
        assert_eq!(
            known("/grpc.health.v1.Health/Check"),
            "grpc.health.v1.Health"
        );
        for path in ["/portico.access.v1.AccessService/Canary", "/", "/canary"] {
            assert_eq!(known(path), "other");
        }
    }
}
