//! Headers of calls between services. HTTP and gRPC metadata have the same names.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{Context, global::get_text_map_propagator, trace::TraceContextExt as _};
use opentelemetry_http::HeaderInjector;
use portico_eventstore::trace;

/// A repetition with the same key has no second effect.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Id of the request from outside; goes into log lines and the correlation of events.
pub const REQUEST_ID: &str = "x-request-id";
/// W3C trace context.
pub const TRACEPARENT: &str = trace::TRACEPARENT;
/// Vendor-specific trace state.
pub const TRACESTATE: &str = trace::TRACESTATE;
/// Which service a call is for, since a process may run several, and some methods every service has.
pub const SERVICE: &str = "x-portico-service";
/// In the answer to a call whose identity was not taken, so that nothing was done: another replica may take it.
pub(crate) const NOT_TAKEN: HeaderName = HeaderName::from_static("x-portico-not-taken");

/// Propagates the current trace context and request id to another service. Headers that came from outside are kept where
/// there is neither.
pub(super) fn inject(headers: &mut HeaderMap) {
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
