//! `portico rewrap`: the step of a rotation of the key-encryption key after which the former key can go.

use portico_runtime::{Clock, Config, ServiceName, fault, telemetry};

use crate::run::wiring;

/// Wraps every data key of services under the present key-encryption key.
///
/// # Errors
/// In words for the person at the terminal.
#[expect(clippy::print_stdout, reason = "progress of the command")]
pub async fn run(config: Config, services: &[ServiceName]) -> Result<(), String> {
    telemetry::init_log(&config.log).map_err(|error| error.to_string())?;
    let opened = wiring::open_only(config, Clock::system(), services).await?;
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
