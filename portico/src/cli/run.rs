//! `portico run`: all services and the public edge in one process, or some of them.

mod reload;

use std::path::PathBuf;

use portico_runtime::{Clock, Config, ServiceName, hangup, shutdown::Shutdown, telemetry};
use tokio_util::sync::CancellationToken;

use crate::run::{
    apart,
    app::App,
    migrations,
    parts::{Part, Parts},
};

/// Runs everything, or the parts that are named, until SIGTERM or SIGINT. `file` is read again at SIGHUP.
///
/// # Errors
/// In words for the person at the terminal.
pub async fn run(config: Config, file: Option<PathBuf>, parts: &[Part]) -> Result<(), String> {
    let parts = Parts::of(parts);
    if let Some(parts) = &parts {
        config
            .check_separate(&parts.services)
            .map_err(|errors| errors.to_string())?;
    }
    let clock = Clock::system();
    let name = parts.as_ref().map_or_else(
        || "portico".to_owned(),
        |parts| format!("portico-{}", parts.names().replace(", ", "-")),
    );
    let telemetry =
        telemetry::init(&config, &name, clock.new_id()).map_err(|error| error.to_string())?;
    let signals = Shutdown::on_signals().map_err(|error| error.to_string())?;
    hangup::listen().map_err(|error| error.to_string())?;
    tokio::spawn(reload::at_hangups(file, config.clone()));
    let (notice, deadline) = (config.shutdown_notice, config.shutdown_deadline);
    let shutdown = CancellationToken::new();
    let (services, edge) = match &parts {
        None => (ServiceName::ALL.to_vec(), true),
        Some(parts) => (parts.services.clone(), parts.edge),
    };
    let probes = config.probes(edge);
    if !migrations::wait(&config, &services, probes, &signals).await? {
        return Ok(());
    }
    let running = match parts {
        None => App::start(config, clock, shutdown).await?.running(),
        Some(parts) => apart::start(&parts, config, clock, shutdown).await?,
    };
    tracing::info!("Portico is ready");
    signals.begun().await;
    running.announce_end(notice).await;
    running.drain(deadline).await;
    telemetry.flush().await;
    Ok(())
}
