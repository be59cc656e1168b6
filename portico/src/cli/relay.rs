//! `portico relay`: republishes events. It writes a request into the databases, which running relays take up within
//! seconds, and a stopped Portico when it starts.

use portico_eventstore::{Database, relay};
use portico_runtime::{Clock, Config, ServiceName, telemetry};

use crate::run::wiring::migrations;

/// Who asked, in the record of it.
const ACTOR: &str = "command:relay";

/// Asks for everything after a position, in one service or in all.
///
/// # Errors
/// In words for the person at the terminal.
#[expect(clippy::print_stdout, reason = "the output of the command")]
pub async fn run(config: Config, services: &[ServiceName], from: u64) -> Result<(), String> {
    telemetry::init_log(&config.log).map_err(|error| error.to_string())?;
    let from = i64::try_from(from).map_err(|_| "--from is larger than any position".to_owned())?;
    let clock = Clock::system();
    for service in services {
        let name = service.as_str();
        let words = |error: &dyn std::fmt::Display| format!("{name}: {error}");
        let url = config.database_of(*service);
        let database = Database::open_as_it_is(url.expose(), name, &migrations(*service))
            .await
            .map_err(|error| words(&error))?;
        relay::republish(&database, from, ACTOR, clock.now(), clock.new_id())
            .await
            .map_err(|error| words(&error))?;
        let status = relay::status(&database)
            .await
            .map_err(|error| words(&error))?;
        match status.republishing {
            Some(again) => println!(
                "{name}: events {} to {} are being republished",
                again.position + 1,
                again.until
            ),
            None => println!("{name}: no event after {from}"),
        }
        database.pool().close().await;
    }
    Ok(())
}
