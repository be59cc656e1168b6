//! The command line: a file for each subcommand.

mod archive;
pub mod backup;
pub mod check_config;
pub mod check_provider;
pub mod drift;
pub mod healthcheck;
pub mod migrate;
pub mod names;
pub mod parked;
pub mod portal;
pub mod relay;
pub mod replay;
pub mod restore;
pub mod rewrap;
pub mod run;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use portico_runtime::{Config, ServiceName};

use self::portal::PortalArgs;
use crate::{demo, run::parts::Part};

/// The API developer portal that registers OAuth clients at your own identity provider.
#[derive(Parser)]
#[command(name = "portico", version)]
pub struct Arguments {
    /// Configuration file; PORTICO_* variables come on top of it.
    #[arg(long, global = true, env = "PORTICO_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand.
#[derive(Subcommand)]
pub enum Command {
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
        /// Which provider.
        #[command(flatten)]
        which: check_provider::Which,
        /// The portal.
        #[command(flatten)]
        portal: PortalArgs,
    },
    /// Find what somebody else changed at identity providers and gateways, through a running portal.
    Drift {
        /// Which of it.
        #[command(subcommand)]
        what: drift::What,
        /// The portal.
        #[command(flatten)]
        portal: PortalArgs,
    },
    /// Messages that a service could not handle, through a running portal.
    Parked {
        /// Which of it.
        #[command(subcommand)]
        what: parked::What,
        /// The portal.
        #[command(flatten)]
        portal: PortalArgs,
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

impl Arguments {
    /// Does what the command line asks for.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub async fn execute(self) -> Result<(), String> {
        // A closure, because the commands that call a running portal work without a configuration.
        let config = || Config::load(self.config.as_deref()).map_err(|errors| errors.to_string());
        match self.command {
            Command::Run { parts } => run::run(config()?, &parts).await,
            Command::Demo { check } => demo::demo(check).await,
            Command::CheckConfig => check_config::run(&config()?),
            Command::CheckProvider { which, portal } => check_provider::run(which, portal).await,
            Command::Drift { what, portal } => drift::run(what, portal).await,
            Command::Parked { what, portal } => parked::run(what, portal).await,
            Command::Relay { from, service } => {
                relay::run(config()?, &names::all(service), from).await
            }
            Command::Migrate { service } => migrate::run(config()?, &names::all(service)).await,
            Command::Backup { file, with_kek } => backup::run(config()?, &file, with_kek).await,
            Command::Restore { file } => restore::run(config()?, &file).await,
            Command::Healthcheck { url } => healthcheck::run(url).await,
            Command::Replay => replay::run(config()?).await,
            Command::Rewrap => rewrap::run(config()?).await,
        }
    }
}
