//! Log lines, on standard error.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use opentelemetry_sdk::trace::Tracer;
use portico_eventstore::trace::EXPORTED;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, filter::filter_fn, registry, reload};

use super::TelemetryError;
use crate::config::{Log, LogFormat};

/// What lets lines through.
type Level = reload::Handle<EnvFilter, Registry>;

/// That of this process.
static LEVEL: OnceLock<Level> = OnceLock::new();

/// Starts logging for this process, and passes exported spans to a tracer.
pub(super) fn init(log: &Log, tracer: Option<Tracer>) -> Result<(), TelemetryError> {
    let color = io::stderr().is_terminal();
    let (subscriber, level) = subscriber(log, color, io::stderr, tracer)?;
    subscriber.try_init()?;
    LEVEL.get_or_init(|| level);
    Ok(())
}

/// Changes `log.level` of this process.
pub(super) fn set_level(level: &str) -> Result<(), TelemetryError> {
    let filter = filter(level)?;
    match LEVEL.get() {
        Some(present) => Ok(present.reload(filter)?),
        None => Ok(()),
    }
}

/// What the subscriber does not show stays hidden at every level.
fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let hidden = format!("{EXPORTED}=off").parse()?;
    Ok(EnvFilter::try_new(level)?.add_directive(hidden))
}

/// Log lines and exported spans have separate filters: `log.level` does not affect traces.
pub(super) fn subscriber<W>(
    log: &Log,
    color: bool,
    writer: W,
    tracer: Option<Tracer>,
) -> Result<(impl Subscriber + Send + Sync + use<W>, Level), TelemetryError>
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
    let (filter, level) = reload::Layer::new(filter(&log.level)?);
    let spans = tracer.map(|tracer| {
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            // Log lines must not leave the installation as span events.
            .with_filter(filter_fn(|metadata| {
                metadata.is_span() && metadata.target() == EXPORTED
            }))
    });
    let subscriber = registry().with(lines.with_filter(filter)).with(spans);
    Ok((subscriber, level))
}
