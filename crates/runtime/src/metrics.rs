//! Metrics of a process: exposed at `/metrics` in the text format of Prometheus, and sent by OTLP where a collector is
//! configured. Both come from the same OpenTelemetry instruments.
//!
//! Names follow Prometheus: `portico_` first, the base unit last, `_total` for counters. Labels have values from
//! small sets, whatever callers send; never an id of anything.
//!
//! - [`instruments`]: counters and histograms, recorded where something happens
//! - [`gauges`]: gauges that are read on collection: lag, connections, memory
//! - [`queue`]: depth and age of a worker's queue

pub mod gauges;
mod instruments;
mod process;
pub mod queue;
mod store;

use std::sync::OnceLock;

use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkError,
    metrics::{PeriodicReader, SdkMeterProvider},
};
use prometheus::{Registry, TextEncoder};
use uuid::Uuid;

pub use instruments::{IdentityRefused, Instruments, Refused, SignIn, instruments};
pub(crate) use store::observe;

/// Content type of [`text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Name of the meter.
pub(crate) const METER: &str = "portico";

/// One registry for the process.
static METRICS: OnceLock<Metrics> = OnceLock::new();

struct Metrics {
    registry: Registry,
    provider: SdkMeterProvider,
}

/// Sets up the meter provider; without this call it is set up on first use, for `/metrics` only.
pub(crate) fn init(resource: Resource, reader: Option<PeriodicReader<MetricExporter>>) {
    METRICS.get_or_init(|| Metrics::new(resource, reader));
}

/// The meter provider; it has to exist before the first instrument is created.
pub(crate) fn provider() -> &'static SdkMeterProvider {
    &metrics().provider
}

fn metrics() -> &'static Metrics {
    METRICS.get_or_init(|| Metrics::new(resource("portico", Uuid::nil()), None))
}

/// The resource attributes of everything that this process exports.
pub(crate) fn resource(service_name: &str, instance: Uuid) -> Resource {
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", service_name.to_owned()),
            KeyValue::new("service.namespace", "portico"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance.to_string()),
        ])
        .build()
}

impl Metrics {
    fn new(resource: Resource, reader: Option<PeriodicReader<MetricExporter>>) -> Self {
        let registry = Registry::new();
        let mut provider = SdkMeterProvider::builder().with_resource(resource);
        // The names are as Prometheus wants them already.
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_units()
            .without_counter_suffixes()
            .scope_info_enabled(false)
            .build();
        match exporter {
            Ok(exporter) => provider = provider.with_reader(exporter),
            Err(error) => tracing::error!(%error, "/metrics stays empty"),
        }
        if let Some(reader) = reader {
            provider = provider.with_reader(reader);
        }
        let provider = provider.build();
        global::set_meter_provider(provider.clone());
        process::observe();
        Self { registry, provider }
    }
}

/// All metrics in the text format of Prometheus. Call [`gauges::refresh`] before for current gauges.
///
/// # Errors
/// The encoder failed, which does not happen in practice.
pub fn text() -> Result<String, String> {
    TextEncoder::new()
        .encode_to_string(&metrics().registry.gather())
        .map_err(|error| error.to_string())
}

/// Exports what was recorded since the last time.
pub(crate) fn flush() -> Result<(), OTelSdkError> {
    match METRICS.get() {
        Some(metrics) => metrics.provider.force_flush(),
        None => Ok(()),
    }
}
