//! Numbers about a running process: shown at `/metrics` in the text format of Prometheus, and sent by OTLP where a
//! collector is configured. Both come from the same instruments of OpenTelemetry.
//!
//! Names follow Prometheus: `portico_` first, the base unit last, `_total` for counters. Labels have values from
//! small sets, whatever callers send; never an id of anything.
//!
//! - [`instruments`]: what is counted where it happens
//! - [`gauges`]: what is asked for when somebody looks: depth and age of queues, lag, connections, memory

pub mod gauges;
mod instruments;
mod process;
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

pub use instruments::{Instruments, instruments};
pub(crate) use store::observe;

/// Content type of [`text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Name of the meter.
pub(crate) const METER: &str = "portico";

/// Those of this process: there is one registry, as there is one memory and one log.
static METRICS: OnceLock<Metrics> = OnceLock::new();

struct Metrics {
    registry: Registry,
    provider: SdkMeterProvider,
}

/// Begins to count; without it, counting begins by itself and is for `/metrics` only. The first call counts.
pub(crate) fn init(resource: Resource, reader: Option<PeriodicReader<MetricExporter>>) {
    METRICS.get_or_init(|| Metrics::new(resource, reader));
}

/// The provider has to be there before the first instrument is made.
pub(crate) fn provider() -> &'static SdkMeterProvider {
    &metrics().provider
}

fn metrics() -> &'static Metrics {
    METRICS.get_or_init(|| Metrics::new(resource("portico", Uuid::nil()), None))
}

/// What is the same for all that this process exports.
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

/// Everything in the text format of Prometheus. [`gauges::refresh`] comes first where they are to be of now.
///
/// # Errors
/// In words; there is none in practice.
pub fn text() -> Result<String, String> {
    TextEncoder::new()
        .encode_to_string(&metrics().registry.gather())
        .map_err(|error| error.to_string())
}

/// Sends what was counted since the last time.
pub(crate) fn flush() -> Result<(), OTelSdkError> {
    match METRICS.get() {
        Some(metrics) => metrics.provider.force_flush(),
        None => Ok(()),
    }
}
