//! What joins the log lines and spans of everything that one request from outside causes, across processes and
//! however much later: its id, and the W3C trace context (<https://www.w3.org/TR/trace-context/>).
//!
//! `tracestate` is not kept in events: it is somebody else's text of up to 512 characters, and an event is for ever.

use std::collections::HashMap;

use opentelemetry::{
    Context,
    global::get_text_map_propagator,
    propagation::{Extractor, Injector},
    trace::TraceContextExt as _,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use uuid::Uuid;

/// Target of the spans that are exported, and of no other: what they hold leaves the installation. Log lines do not
/// show them, and without an exporter they are not made.
pub const EXPORTED: &str = "portico::exported";
/// Name of the trace context in metadata and message headers.
pub const TRACEPARENT: &str = "traceparent";

tokio::task_local! {
    static CORRELATION: Uuid;
}

/// Runs work that belongs to a request from outside; see [`correlation`].
pub async fn correlated<F: Future>(id: Uuid, work: F) -> F::Output {
    CORRELATION.scope(id, work).await
}

/// Id of the request from outside that the present task works for. Calls to other services take it along.
pub fn correlation() -> Option<Uuid> {
    CORRELATION.try_with(|id| *id).ok()
}

/// Makes a span that has not begun a child of a remote one. Without an exporter it does nothing.
pub fn follow(span: &Span, traceparent: Option<&str>) {
    let Some(traceparent) = traceparent else {
        return;
    };
    let context = get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &One(traceparent))
    });
    if context.span().span_context().is_valid() {
        // Fails only where nothing is exported.
        let _ = span.set_parent(context);
    }
}

/// The present span as a remote one sees it; `None` where nothing is exported.
pub fn traceparent() -> Option<String> {
    let context = Context::current();
    if !context.span().span_context().is_valid() {
        return None;
    }
    let mut headers = Headers::default();
    get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut headers));
    headers.0.remove(TRACEPARENT)
}

/// Id of a span's trace, for log lines; `None` where nothing is exported. The span cannot follow another after this.
pub fn id(span: &Span) -> Option<String> {
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| context.trace_id().to_string())
}

/// Whether a text is a trace context and nothing else: version, trace id, span id and flags.
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

struct One<'a>(&'a str);

impl Extractor for One<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
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
