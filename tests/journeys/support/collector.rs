//! A collector for OTLP over HTTP that keeps what it is sent.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;

#[derive(Default)]
struct Received {
    spans: Vec<Exported>,
    metrics: BTreeSet<String>,
    raw: Vec<u8>,
    authorizations: BTreeSet<String>,
}

/// A span, and the process that it comes from.
#[derive(Debug, Clone)]
pub struct Exported {
    pub service_name: String,
    pub span: Span,
}

impl Exported {
    pub fn trace_id(&self) -> String {
        hex(&self.span.trace_id)
    }

    /// An attribute of text or of a whole number.
    pub fn attribute(&self, key: &str) -> Option<String> {
        find(&self.span.attributes, key)
    }
}

/// Ends when it is dropped.
pub struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
    task: tokio::task::JoinHandle<()>,
}

impl Collector {
    pub async fn start() -> Self {
        let received = Arc::<Mutex<Received>>::default();
        let routes = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics))
            .with_state(Arc::clone(&received));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            address,
            received,
            task,
        }
    }

    /// For `PORTICO_TELEMETRY_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Spans of one trace.
    pub fn trace(&self, id: &str) -> Vec<Exported> {
        let received = self.received.lock().unwrap();
        let of_it = received.spans.iter().filter(|one| one.trace_id() == id);
        of_it.cloned().collect()
    }

    /// Names of metrics.
    pub fn metrics(&self) -> BTreeSet<String> {
        self.received.lock().unwrap().metrics.clone()
    }

    /// Every byte that came in a body.
    pub fn raw(&self) -> Vec<u8> {
        self.received.lock().unwrap().raw.clone()
    }

    /// What came as `Authorization`.
    pub fn authorizations(&self) -> BTreeSet<String> {
        self.received.lock().unwrap().authorizations.clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Shared = State<Arc<Mutex<Received>>>;

async fn traces(State(received): Shared, headers: HeaderMap, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
    let mut received = received.lock().unwrap();
    received.keep(&headers, &body);
    for resource in request.resource_spans {
        let attributes = resource.resource.unwrap_or_default().attributes;
        let service_name = find(&attributes, "service.name").unwrap_or_default();
        for span in resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans)
        {
            received.spans.push(Exported {
                service_name: service_name.clone(),
                span,
            });
        }
    }
}

async fn metrics(State(received): Shared, headers: HeaderMap, body: Bytes) {
    let request = ExportMetricsServiceRequest::decode(body.clone()).unwrap();
    let mut received = received.lock().unwrap();
    received.keep(&headers, &body);
    let scopes = request
        .resource_metrics
        .into_iter()
        .flat_map(|resource| resource.scope_metrics);
    let names = scopes.flat_map(|scope| scope.metrics.into_iter().map(|metric| metric.name));
    received.metrics.extend(names);
}

impl Received {
    fn keep(&mut self, headers: &HeaderMap, body: &[u8]) {
        self.raw.extend_from_slice(body);
        if let Some(value) = headers.get("authorization") {
            self.authorizations
                .insert(value.to_str().unwrap().to_owned());
        }
    }
}

fn find(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
