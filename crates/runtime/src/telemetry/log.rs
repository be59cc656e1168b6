//! Log lines, on standard error.

use std::io::{self, IsTerminal as _};

use opentelemetry_sdk::trace::Tracer;
use portico_eventstore::trace::EXPORTED;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, filter, registry};

use super::TelemetryError;
use crate::config::{Log, LogFormat};

/// Starts logging for this process, and passes exported spans to a tracer.
pub(super) fn init(log: &Log, tracer: Option<Tracer>) -> Result<(), TelemetryError> {
    let color = io::stderr().is_terminal();
    subscriber(log, color, io::stderr, tracer)?.try_init()?;
    Ok(())
}

/// Log lines and exported spans have separate filters: `log.level` does not affect traces.
pub(super) fn subscriber<W>(
    log: &Log,
    color: bool,
    writer: W,
    tracer: Option<Tracer>,
) -> Result<impl Subscriber + Send + Sync + use<W>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(color).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
    };
    let hidden = format!("{EXPORTED}=off").parse()?;
    let filter = EnvFilter::try_new(&log.level)?.add_directive(hidden);
    let spans = tracer.map(|tracer| {
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            // Log lines must not leave the installation as span events.
            .with_filter(filter::filter_fn(|metadata| {
                metadata.is_span() && metadata.target() == EXPORTED
            }))
    });
    Ok(registry().with(lines.with_filter(filter)).with(spans))
}
