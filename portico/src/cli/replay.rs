//! `portico replay`: empties the views and fills them again from the event log.

use portico_eventstore::relay::Relay;
use portico_runtime::{Clock, Config, Deps, Service, ServiceName, telemetry};

use crate::run::wiring;

/// Rebuilds the views of services.
///
/// # Errors
/// In words for the person at the terminal.
#[expect(clippy::print_stdout, reason = "progress of the command")]
pub async fn run(config: Config, services: &[ServiceName]) -> Result<(), String> {
    telemetry::init_log(&config.log).map_err(|error| error.to_string())?;
    let opened = wiring::open_only(config, Clock::system(), services).await?;
    for service in &opened.services {
        let name = service.name.as_str();
        let position = replay(&opened.deps, service)
            .await
            .map_err(|error| format!("{name}: {error}"))?;
        println!("{name}: views rebuilt from {position} events");
    }
    opened.deps.shutdown.cancel();
    Ok(())
}

/// A service that runs would wait for the rebuild with each append, and refuse them in the end. One of its replicas holds
/// the relay's lease, and none can take it meanwhile.
#[expect(clippy::print_stdout, reason = "progress of the command")]
async fn replay(deps: &Deps, service: &Service) -> Result<i64, String> {
    let name = service.name.as_str();
    let lease = deps.lease(service.store.database(), Relay::LEASE);
    let held = lease.acquire_from_the_dead(&deps.clock).await;
    let held = held.map_err(|error| error.to_string())?.ok_or(
        "another process runs this service; stop all of its replicas before its views are rebuilt",
    )?;
    let rebuilt = service
        .store
        .replay(|position| println!("{name}: event {position}"));
    let rebuilt = held.run(rebuilt).await.map_err(|lost| lost.to_string())?;
    rebuilt.map_err(|error| error.to_string())
}
