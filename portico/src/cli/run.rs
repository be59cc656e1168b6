//! What the subcommands do.

use portico_runtime::{Clock, Config, ServiceName, fault, shutdown::Shutdown, telemetry};

use tokio_util::sync::CancellationToken;

use crate::{
    apart,
    app::App,
    migrate,
    parts::{Part, Parts},
    wiring,
};

/// `portico run`, with all of it or with some parts: until SIGTERM or SIGINT.
///
/// # Errors
/// In words for the person at the terminal.
pub async fn run(config: Config, parts: &[Part]) -> Result<(), String> {
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
    let (notice, deadline) = (config.shutdown_notice, config.shutdown_deadline);
    let shutdown = CancellationToken::new();
    let (services, probes) = match &parts {
        None => (ServiceName::ALL.to_vec(), config.listen),
        Some(parts) if parts.services.is_empty() => (Vec::new(), config.listen),
        Some(parts) => (parts.services.clone(), config.services.probe_listen),
    };
    if !migrate::wait(&config, &services, probes, &signals).await? {
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

/// `portico check-config`.
///
/// # Errors
/// None; it has been checked by now.
#[expect(clippy::print_stdout, reason = "the output of the command")]
pub fn check_config(config: &Config) -> Result<(), String> {
    println!("{}", config.print_masked());
    Ok(())
}

/// `portico replay`: rebuilds the views of every service.
///
/// # Errors
/// In words for the person at the terminal.
#[expect(clippy::print_stdout, reason = "progress of the command")]
pub async fn replay(config: Config) -> Result<(), String> {
    telemetry::init_log(&config.log).map_err(|error| error.to_string())?;
    let opened = wiring::open(config, Clock::system()).await?;
    for service in &opened.services {
        let name = service.name.as_str();
        let position = service
            .store
            .replay(|position| println!("{name}: event {position}"))
            .await
            .map_err(|error| format!("{name}: {error}"))?;
        println!("{name}: views rebuilt from {position} events");
    }
    opened.deps.shutdown.cancel();
    Ok(())
}

/// `portico rewrap`: puts every data key under the present key-encryption key.
///
/// # Errors
/// In words for the person at the terminal.
#[expect(clippy::print_stdout, reason = "progress of the command")]
pub async fn rewrap(config: Config) -> Result<(), String> {
    telemetry::init_log(&config.log).map_err(|error| error.to_string())?;
    let opened = wiring::open(config, Clock::system()).await?;
    let mut failed = 0;
    for service in &opened.services {
        let name = service.name.as_str();
        fault::point("rewrapping");
        let rewrapped = opened
            .deps
            .vault(service.store.database())
            .rewrap()
            .await
            .map_err(|error| format!("{name}: {error}"))?;
        fault::point("rewrapped");
        println!(
            "{name}: {} keys rewrapped, {} failed",
            rewrapped.done, rewrapped.failed
        );
        failed += rewrapped.failed;
    }
    opened.deps.shutdown.cancel();
    if failed > 0 {
        return Err(format!(
            "{failed} keys could not be rewrapped: a former key is missing from kek_previous"
        ));
    }
    Ok(())
}
