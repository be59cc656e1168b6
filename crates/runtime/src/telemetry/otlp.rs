//! Export of spans and metrics by OTLP over HTTP (protobuf) to the configured collector. Without one nothing of this
//! runs.

use std::fmt;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, Protocol, SpanExporter, WithExportConfig as _,
    WithHttpConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    metrics::PeriodicReader,
    trace::{Sampler, SdkTracerProvider},
};
use tokio::runtime::Handle;

use super::TelemetryError;
use crate::config::{Collector, Telemetry};

/// Exports spans. A sampling decision that comes with a request is kept, so that traces are complete.
pub(super) fn tracer(
    telemetry: &Telemetry,
    collector: &Collector,
    resource: Resource,
) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client::new(collector)?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(collector.traces())
        .with_headers(collector.headers())
        .with_timeout(collector.timeout)
        .build()?;
    let ratio = Sampler::TraceIdRatioBased(telemetry.sample_ratio);
    Ok(SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Sampler::ParentBased(Box::new(ratio)))
        .with_batch_exporter(exporter)
        .build())
}

/// Exports metrics at an interval.
pub(super) fn reader(
    telemetry: &Telemetry,
    collector: &Collector,
) -> Result<PeriodicReader<MetricExporter>, TelemetryError> {
    let exporter = MetricExporter::builder()
        .with_http()
        .with_http_client(Client::new(collector)?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(collector.metrics())
        .with_headers(collector.headers())
        .with_timeout(collector.timeout)
        .build()?;
    Ok(PeriodicReader::builder(exporter)
        .with_interval(telemetry.metrics_interval)
        .build())
}

/// HTTP client of the exporters. They run on threads of their own, so their requests are sent on our runtime.
struct Client {
    http: reqwest::Client,
    runtime: Handle,
}

impl Client {
    #[expect(
        clippy::disallowed_methods,
        reason = "the operator's own collector, which is private as a rule; nobody else can enter it"
    )]
    fn new(collector: &Collector) -> Result<Self, TelemetryError> {
        // We use ring everywhere: an earlier installation set the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(collector.timeout);
        if collector.endpoint.scheme() == "http" {
            builder = builder.tls_certs_only([]);
        }
        let http = builder
            .build()
            .map_err(|error| TelemetryError::Client(error.to_string()))?;
        Ok(Self {
            http,
            runtime: Handle::current(),
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sent = self.runtime.spawn(async move {
            let answer = http.execute(request.try_into()?).await?;
            let mut response = Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                *headers = answer.headers().clone();
            }
            Ok::<_, HttpError>(response.body(answer.bytes().await?)?)
        });
        sent.await?
    }
}

impl From<ExporterBuildError> for TelemetryError {
    fn from(error: ExporterBuildError) -> Self {
        Self::Client(error.to_string())
    }
}
