//! The W3C trace context in headers of HTTP and gRPC.

use http::HeaderMap;
use opentelemetry::{Context, global::get_text_map_propagator, trace::TraceContextExt as _};
use opentelemetry_http::HeaderExtractor;
use portico_eventstore::trace;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Sets the remote parent of a span from headers, if they have one.
pub(super) fn follow(span: &Span, headers: &HeaderMap) {
    if span.is_disabled() || !headers.contains_key(trace::TRACEPARENT) {
        return;
    }
    let context = get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &HeaderExtractor(headers))
    });
    if context.span().span_context().is_valid() {
        // Fails only where nothing is exported.
        let _ = span.set_parent(context);
    }
}
