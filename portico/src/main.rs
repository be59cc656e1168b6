//! The one binary, `portico`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use portico::{
    at::At, backup, check_provider, commands, demo, drift, healthcheck, migrate, names, parked,
    parts::Part, relay,
};
use portico_runtime::{Config, ServiceName};

/// The API developer portal that registers OAuth clients at your own identity provider.
#[derive(Parser)]
#[command(name = "portico", version)]
struct Arguments {
    /// Configuration file; PORTICO_* variables come on top of it.
    #[arg(long, global = true, env = "PORTICO_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run all services and the public edge in one process, or only the parts that are named.
    Run {
        /// What this process runs. Separate processes need PostgreSQL, NATS and each other's addresses.
        #[arg(value_enum, value_name = "PART")]
        parts: Vec<Part>,
    },
    /// Try everything at once: portal, identity provider, gateway, API and mail catcher, with example data.
    Demo {
        /// Walk the whole flow through the REST API, print each step, and end.
        #[arg(long)]
        check: bool,
    },
    /// Check the configuration and print it with secrets masked.
    CheckConfig,
    /// Find out what an identity provider can do, through a running portal.
    CheckProvider {
        #[command(flatten)]
        which: check_provider::Which,
        #[command(flatten)]
        portal: At,
    },
    /// Find what somebody else changed at identity providers and gateways, through a running portal.
    Drift {
        #[command(subcommand)]
        what: drift::What,
        #[command(flatten)]
        portal: At,
    },
    /// Messages that a service could not handle, through a running portal.
    Parked {
        #[command(subcommand)]
        what: parked::What,
        #[command(flatten)]
        portal: At,
    },
    /// Have events published again that were published before, for a bus or a consumer that lost them. Portico may run
    /// or not.
    Relay {
        /// The position after which it begins; 0: all events.
        #[arg(long)]
        from: u64,
        /// Only of this service; may be given several times.
        #[arg(long, value_parser = names::service)]
        service: Vec<ServiceName>,
    },
    /// Bring the databases up to date and end.
    Migrate {
        /// Only of this service; may be given several times.
        #[arg(long, value_parser = names::service)]
        service: Vec<ServiceName>,
    },
    /// Copy the data folder into one file, as it is at one instant, while Portico runs or not.
    Backup {
        /// The file, which must not be there yet.
        file: PathBuf,
        /// Put the key-encryption key of the data folder into it as well.
        #[arg(long)]
        with_kek: bool,
    },
    /// Make a data folder of a backup.
    Restore {
        /// The backup.
        file: PathBuf,
    },
    /// Ask an address whether it is well, for containers without a shell; ends with an error where it is not.
    Healthcheck {
        /// Such as `http://127.0.0.1:3000/readyz`.
        #[arg(default_value = "http://127.0.0.1:3000/readyz")]
        url: url::Url,
    },
    /// Empty the views and fill them again from the event log. Stop `portico run` first.
    Replay,
    /// Put all stored secrets under the present key-encryption key.
    Rewrap,
}

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
