//! The one binary, `portico`.

use std::process::ExitCode;

use clap::Parser as _;
use portico::{
    backup, check_provider,
    cli::{Arguments, Command},
    commands, demo, drift, healthcheck, migrate, names, parked, relay,
};
use portico_runtime::Config;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // TLS needs one process-wide choice; it can only be made once, and this is the first call.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let result = runtime.block_on(async {
        if let Command::Demo { check } = arguments.command {
            return demo::demo(check).await;
        }
        if let Command::Drift { what, portal } = arguments.command {
            return drift::run(what, portal).await;
        }
        if let Command::Parked { what, portal } = arguments.command {
            return parked::run(what, portal).await;
        }
        if let Command::CheckProvider { which, portal } = arguments.command {
            return check_provider::run(which, portal).await;
        }
        if let Command::Healthcheck { url } = arguments.command {
            return healthcheck::run(url).await;
        }
        let config =
            Config::load(arguments.config.as_deref()).map_err(|errors| errors.to_string())?;
        match arguments.command {
            Command::Run { parts } => commands::run(config, &parts).await,
            Command::CheckConfig => commands::check_config(&config),
            Command::Relay { from, service } => {
                relay::run(config, &names::all(service), from).await
            }
            Command::Migrate { service } => migrate::run(config, &names::all(service)).await,
            Command::Backup { file, with_kek } => backup::backup(config, &file, with_kek).await,
            Command::Restore { file } => backup::restore(config, &file).await,
            Command::Replay => commands::replay(config).await,
            Command::Rewrap => commands::rewrap(config).await,
            Command::Demo { .. }
            | Command::Drift { .. }
            | Command::CheckProvider { .. }
            | Command::Parked { .. }
            | Command::Healthcheck { .. } => Ok(()),
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

#[expect(clippy::print_stderr, reason = "the command line speaks to a person")]
fn fail(message: &str) -> ExitCode {
    eprintln!("portico: {message}");
    ExitCode::FAILURE
}
