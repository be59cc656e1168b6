//! `portico relay`: republishes events. It writes a request into the databases, which running relays take up within
//! seconds, and a stopped Portico when it starts.

use std::error::Error;

use portico_eventstore::{
    Database,
    relay::{self, RelayStatus},
};
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
    for service in services {
        let name = service.as_str();
        let asked = ask(&config, *service, from).await;
        match asked
            .map_err(|error| format!("{name}: {error}"))?
            .republishing
        {
            Some(again) => println!(
                "{name}: events {} to {} are being republished",
                again.position + 1,
                again.until
            ),
            None => println!("{name}: no event after {from}"),
        }
    }
    Ok(())
}

async fn ask(
    config: &Config,
    service: ServiceName,
    from: i64,
) -> Result<RelayStatus, Box<dyn Error>> {
    let clock = Clock::system();
    let url = config.database_of(service);
    let (name, migrations) = (service.as_str(), migrations(service));
    let database =
        Database::open_as_it_is(url.expose(), name, &migrations, config.database_pool).await?;
    relay::republish(&database, from, ACTOR, clock.now(), clock.new_id()).await?;
    let status = relay::status(&database).await?;
    database.pool().close().await;
    Ok(status)
}
