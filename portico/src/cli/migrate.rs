//! `portico migrate`: brings the databases up to date and ends.

use portico_eventstore::Database;
use portico_runtime::{Config, ServiceName, telemetry};

use crate::run::{migrations::with_service, wiring::migrations};

/// Brings the databases of services up to date and ends. Any number of processes may do it at once.
///
/// # Errors
/// In words for the person at the terminal.
#[expect(clippy::print_stdout, reason = "the output of the command")]
pub async fn run(config: Config, services: &[ServiceName]) -> Result<(), String> {
    telemetry::init_log(&config.log).map_err(|error| error.to_string())?;
    if config.database_url().is_none() {
        std::fs::create_dir_all(config.data_dir())
            .map_err(|error| format!("data folder {}: {error}", config.data_dir().display()))?;
    }
    for service in services {
        let name = service.as_str();
        let url = config.database_of(*service);
        let done = Database::migrate(url.expose(), name, &migrations(*service)).await;
        let (database, ran) = done.map_err(|error| with_service(name, &error))?;
        database.pool().close().await;
        match ran.as_slice() {
            [] => println!("{name}: up to date"),
            ran => println!("{name}: {}", ran.join(", ")),
        }
    }
    Ok(())
}
