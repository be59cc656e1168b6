//! Correlation of everything that one request from outside causes, across processes and however much later: the
//! request's id in log lines, and the W3C trace context (<https://www.w3.org/TR/trace-context/>) of spans.
//!
//! Both headers are propagated, `traceparent` and `tracestate`. The second is foreign text, and events are kept for
//! ever: it is taken only where it is valid by the standard and has at most 512 characters.

use std::{collections::HashMap, str::FromStr as _};

use opentelemetry::{
    Context,
    global::get_text_map_propagator,
    propagation::{Extractor, Injector},
    trace::{TraceContextExt as _, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use uuid::Uuid;

/// Target of exported spans, and of no others: their fields leave the installation. They are not shown in log lines, and
/// are not created without an exporter.
pub const EXPORTED: &str = "portico::exported";
/// Name of the trace context in metadata and message headers.
pub const TRACEPARENT: &str = "traceparent";
/// Name of the vendor-specific trace state beside it.
pub const TRACESTATE: &str = "tracestate";
/// The standard allows to discard a longer one (section 3.3.1.5).
const LONGEST_STATE: usize = 512;

/// A trace context as it is propagated: in headers of HTTP, gRPC and messages, and in the metadata of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// Trace id, parent span and flags.
    pub traceparent: String,
    /// Vendor-specific trace state.
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// Parses headers. A `tracestate` without a valid `traceparent` is ignored (section 4.3), and so is an invalid one.
    pub fn given<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let traceparent = header(TRACEPARENT).filter(|text| is_traceparent(text))?;
        Some(Self {
            traceparent: traceparent.to_owned(),
            tracestate: header(TRACESTATE).and_then(state),
        })
    }

    /// The context of the current span; `None` where nothing is exported.
    pub fn present() -> Option<Self> {
        let context = Context::current();
        if !context.span().span_context().is_valid() {
            return None;
        }
        let mut headers = Headers::default();
        get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut headers));
        Some(Self {
            traceparent: headers.0.remove(TRACEPARENT)?,
            tracestate: headers.0.get(TRACESTATE).and_then(|text| state(text)),
        })
    }
}

/// The normalised list, if it is valid: at most 32 members, keys and values of the allowed characters.
fn state(text: &str) -> Option<String> {
    let state = TraceState::from_str(text).ok()?.header();
    let visible = state.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    (visible && !state.is_empty() && state.len() <= LONGEST_STATE).then_some(state)
}

tokio::task_local! {
    static CORRELATION: Uuid;
}

/// Runs work that belongs to a request from outside; see [`correlation`].
pub async fn correlated<F: Future>(id: Uuid, work: F) -> F::Output {
    CORRELATION.scope(id, work).await
}

/// Id of the request from outside that the current task works for. It is propagated to other services.
pub fn correlation() -> Option<Uuid> {
    CORRELATION.try_with(|id| *id).ok()
}

/// Sets the remote parent of a span that has not been entered yet. Does nothing without an exporter.
pub fn follow(span: &Span, trace_context: Option<&TraceContext>) {
    let Some(trace_context) = trace_context else {
        return;
    };
    let context = get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), trace_context)
    });
    if context.span().span_context().is_valid() {
        // Fails only where nothing is exported.
        let _ = span.set_parent(context);
    }
}

/// Id of a span's trace, for log lines; `None` where nothing is exported. The span cannot follow another after this.
pub fn id(span: &Span) -> Option<String> {
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| context.trace_id().to_string())
}

/// Whether a text is a valid `traceparent`: version, trace id, span id and flags.
pub fn is_traceparent(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut hexadecimal = |length: usize| {
        parts.next().is_some_and(|part| {
            part.len() == length
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        })
    };
    [2, 32, 16, 2].into_iter().all(&mut hexadecimal) && parts.next().is_none()
}

impl Extractor for TraceContext {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => Some(&self.traceparent),
            TRACESTATE => self.tracestate.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

#[derive(Default)]
struct Headers(HashMap<String, String>);

impl Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trace_context_is_one() {
        assert!(is_traceparent(
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        ));
        for text in [
            "",
            "canary",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-canary",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-someone@example.org-b7ad6b7169203331-01",
        ] {
            assert!(!is_traceparent(text), "{text}");
        }
    }

    #[test]
    fn a_state_counts_beside_a_parent_and_as_the_standard_has_it() {
        const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let given = |parent: &'static str, state: &str| {
            let state = state.to_owned();
            let headers = [(TRACEPARENT, parent), (TRACESTATE, &state)];
            let header = |name: &str| {
                let found = headers.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| *value)
            };
            TraceContext::given(header).map(|trace_context| trace_context.tracestate)
        };
        let kept = |state: &str| given(PARENT, state).unwrap();
        assert_eq!(
            kept("congo=t61rcWkgMzE").as_deref(),
            Some("congo=t61rcWkgMzE")
        );
        assert_eq!(
            kept(" rojo=00f067aa0ba902b7 , congo=t61 ,").as_deref(),
            Some("rojo=00f067aa0ba902b7,congo=t61")
        );
        for wrong in ["", "canary", "Upper=1", "a=b=c", "a=\u{e9}", "a=\tb"] {
            assert_eq!(kept(wrong), None, "{wrong}");
        }
        assert_eq!(kept(&format!("a={}", "x".repeat(600))), None);
        assert_eq!(given("canary", "congo=t61"), None);
    }

    #[tokio::test]
    async fn a_task_knows_the_request_it_works_for() {
        assert_eq!(correlation(), None);
        let id = Uuid::from_u128(7);
        correlated(id, async {
            tokio::task::yield_now().await;
            assert_eq!(correlation(), Some(id));
        })
        .await;
        assert_eq!(correlation(), None);
    }
}
