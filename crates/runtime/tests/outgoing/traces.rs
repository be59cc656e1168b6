//! What a call tells of the trace that it is in.

use opentelemetry::global;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use portico_eventstore::trace::{EXPORTED, TraceContext, correlated};
use tracing::Instrument as _;
use tracing::instrument::WithSubscriber as _;
use tracing_subscriber::layer::SubscriberExt as _;
use uuid::Uuid;

use crate::server::{Server, get_from, outgoing};

#[tokio::test]
async fn the_trace_stays_with_us() {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let server = Server::start().await;
    let call = async {
        assert!(TraceContext::present().is_some(), "there is a trace");
        let request = get_from(server.url("/headers"));
        outgoing(&["127.0.0.1"]).send(request).await.unwrap()
    };
    let work = async {
        let span = tracing::info_span!(target: EXPORTED, "work");
        correlated(Uuid::from_u128(7), call.instrument(span)).await
    };
    // Otherwise a callsite that another test reaches first, where nobody listens, stays silent.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    let answer = work
        .with_subscriber(tracing_subscriber::registry().with(layer))
        .await;
    let sent = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(sent.contains("user-agent"), "{sent}");
    for header in ["traceparent", "tracestate", "x-request-id", "baggage"] {
        assert!(!sent.contains(header), "{sent}");
    }
}
