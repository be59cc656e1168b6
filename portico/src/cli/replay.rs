//! `portico replay`: empties the views and fills them again from the event log.

use portico_runtime::{Clock, Config, telemetry};

use crate::run::wiring;

/// Rebuilds the views of every service.
///
/// # Errors
/// In words for the person at the terminal.
#[expect(clippy::print_stdout, reason = "progress of the command")]
pub async fn run(config: Config) -> Result<(), String> {
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
