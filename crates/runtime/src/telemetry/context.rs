//! The W3C trace context in headers of HTTP and gRPC.

use http::{HeaderMap, HeaderValue};
use opentelemetry::{Context, global::get_text_map_propagator, trace::TraceContextExt as _};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use portico_eventstore::trace;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::context::REQUEST_ID;

/// Makes a span that has not begun a child of the one that headers name, if they do.
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

/// Puts the present trace and the id of the present request into the headers of a call between services. What is
/// there already, from outside, goes on where there is none.
pub(crate) fn inject(headers: &mut HeaderMap) {
    let context = Context::current();
    if context.span().span_context().is_valid() {
        get_text_map_propagator(|propagator| {
            propagator.inject_context(&context, &mut HeaderInjector(headers));
        });
    }
    if let Some(id) = trace::correlation()
        && let Ok(value) = HeaderValue::try_from(id.to_string())
    {
        headers.insert(REQUEST_ID, value);
    }
}
