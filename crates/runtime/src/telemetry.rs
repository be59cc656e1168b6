//! Log lines and traces.
//!
//! Rules: a field for every identifier, units in names (`duration_ms`), a failure is logged once, at the boundary; no
//! secret, personal datum, header, body or query ever. What is logged goes to standard error, so that commands have
//! standard output for their results.
//!
//! Everything that one request from outside causes has its id in each log line (`request_id`), and one trace id where
//! traces are exported: through gRPC metadata, the metadata of events, the headers of messages and back.
//!
//! - [`request`], [`call`]: middleware for HTTP and gRPC
//! - [`context`]: W3C trace context in headers
//! - [`log`]: what log lines show, and which spans are exported
//! - [`otlp`]: the way to a collector

mod call;
mod context;
mod log;
mod otlp;
mod request;

use tracing_subscriber::util::TryInitError;

use opentelemetry::{global, trace::TracerProvider as _};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use uuid::Uuid;

use crate::config::{Config, Log};
use crate::metrics::{self, gauges};

pub use call::{Answering, EDGE, calls};
pub use request::{request_id, trace};

/// Why telemetry did not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is no filter. A checked configuration has none of these.
    #[error("log.level: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The level could not be changed.
    #[error("log.level: {0}")]
    Level(#[from] tracing_subscriber::reload::Error),
    /// It was started already.
    #[error("logging: {0}")]
    Started(#[from] TryInitError),
    /// The way to the collector.
    #[error("telemetry.otlp_endpoint: {0}")]
    Client(String),
}

/// Exports until the process ends.
#[must_use = "what was not sent yet is lost without a call of `flush`"]
pub struct Telemetry(Option<SdkTracerProvider>);

/// Starts logging for this process, and sends traces and numbers where the configuration names a collector. Once,
/// within the runtime, before anything is measured. `name` is what it is called where the configuration gives no
/// `telemetry.service_name`.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(config: &Config, name: &str, instance: Uuid) -> Result<Telemetry, TelemetryError> {
    let telemetry = &config.telemetry;
    let name = telemetry.service_name.as_deref().unwrap_or(name);
    let resource = metrics::resource(name, instance);
    let Some(collector) = &telemetry.collector else {
        log::init(&config.log, None)?;
        metrics::init(resource, None);
        return Ok(Telemetry(None));
    };
    global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = otlp::tracer(telemetry, collector, resource.clone())?;
    let reader = otlp::reader(telemetry, collector)?;
    log::init(&config.log, Some(provider.tracer("portico")))?;
    metrics::init(resource, Some(reader));
    let interval = telemetry.metrics_interval;
    // Ends with the runtime.
    tokio::spawn(async move {
        loop {
            gauges::refresh().await;
            tokio::time::sleep(interval).await;
        }
    });
    Ok(Telemetry(Some(provider)))
}

/// Starts logging only, for a command that does one thing.
///
/// # Errors
/// [`TelemetryError`].
pub fn init_log(log: &Log) -> Result<(), TelemetryError> {
    log::init(log, None)
}

/// Changes the level of a process whose logging was started.
///
/// # Errors
/// It is none.
pub fn set_level(level: &str) -> Result<(), TelemetryError> {
    log::set_level(level)
}

impl Telemetry {
    /// Exports what is left. The collector may be unreachable, so this may take one request timeout.
    pub async fn flush(self) {
        let Some(provider) = self.0 else {
            return;
        };
        gauges::refresh().await;
        // It waits for the exporter's thread, which needs this runtime.
        let flushed = tokio::task::spawn_blocking(move || {
            if let Err(error) = provider.shutdown() {
                tracing::warn!(%error, "the last spans were not sent");
            }
            if let Err(error) = metrics::flush() {
                tracing::warn!(%error, "the last numbers were not sent");
            }
        });
        if let Err(error) = flushed.await {
            tracing::warn!(%error, "the last spans and numbers were not sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::log::subscriber;
    use super::request::REQUEST_ID;
    use super::*;
    use crate::clock::Clock;
    use crate::config::{LogAddresses, LogFormat};
    use axum::Router;
    use axum::body::Body;
    use axum::extract::Request;
    use axum::response::Response;
    use axum::routing::get;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tower::ServiceExt as _;
    use tracing::Subscriber;
    use tracing::instrument::WithSubscriber as _;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }

        fn subscriber(&self, format: LogFormat) -> impl Subscriber + Send + Sync + use<> {
            let log = Log {
                level: "info".to_owned(),
                format,
                addresses: LogAddresses::Short,
            };
            let lines = self.clone();
            subscriber(&log, false, move || lines.clone(), None)
                .unwrap()
                .0
        }
    }

    async fn answer(lines: &Lines, format: LogFormat, id: Option<&str>) -> Response {
        let routes = Router::new()
            .route(
                "/reset/{token}",
                get(async || {
                    tracing::info!("inside");
                    tracing::debug!("too fine");
                }),
            )
            .layer(axum::middleware::from_fn_with_state(Clock::system(), trace));
        let mut request = Request::get("/reset/canary?q=canary");
        if let Some(id) = id {
            request = request.header(REQUEST_ID, id);
        }
        // Otherwise a callsite that another test reaches first, where nobody listens, stays silent.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        routes
            .oneshot(request.body(Body::empty()).unwrap())
            .with_subscriber(lines.subscriber(format))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn what_is_logged_for_a_request_has_its_id_and_no_path() {
        let lines = Lines::default();
        let id = "0190b6f1-7c3e-7d2a-9b1e-5f3c2a1b0d4e";
        let response = answer(&lines, LogFormat::Json, Some(id)).await;
        assert_eq!(response.headers()[REQUEST_ID], id);
        let text = lines.text();
        let logged: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(logged.len(), 2);
        assert_eq!(logged[0]["message"], "inside");
        assert_eq!(logged[1]["status"], 200);
        for line in &logged {
            assert_eq!(line["span"]["request_id"], id);
            assert_eq!(line["span"]["route"], "/reset/{token}");
        }
        assert!(!text.contains("canary"));
    }

    #[tokio::test]
    async fn an_id_that_is_none_is_replaced() {
        let lines = Lines::default();
        for id in [None, Some("canary"), Some("")] {
            let response = answer(&lines, LogFormat::Text, id).await;
            let answered = response.headers()[REQUEST_ID].to_str().unwrap();
            assert_eq!(answered.parse::<Uuid>().unwrap().get_version_num(), 7);
            assert!(lines.text().contains(answered));
        }
        assert!(!lines.text().contains("canary"));
    }
}
