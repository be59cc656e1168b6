//! The command line: a file for each subcommand.

mod archive;
pub mod backup;
pub mod check_config;
pub mod check_provider;
pub mod drift;
pub mod healthcheck;
pub mod migrate;
pub mod names;
pub mod orphans;
pub mod parked;
pub mod portal;
pub mod relay;
pub mod replay;
pub mod restore;
pub mod rewrap;
pub mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use portico_runtime::{Config, ServiceName};

use self::portal::PortalArgs;
use crate::{demo, run::parts::Part};

/// The API developer portal that registers OAuth clients at your own identity provider.
#[derive(Parser)]
#[command(name = "portico", version)]
pub struct Arguments {
    /// Configuration file; PORTICO_* variables override it.
    #[arg(long, global = true, env = "PORTICO_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The subcommand.
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
    /// Run the portal with an identity provider, a gateway, an API and a mail catcher around it, and example data.
    Demo {
        /// Walk through the whole flow over the REST API, print each step, and exit.
        #[arg(long)]
        check: bool,
    },
    /// Check the configuration and print it with secrets masked.
    CheckConfig,
    /// Check what an identity provider supports, through a running portal.
    CheckProvider {
        /// The provider.
        #[command(flatten)]
        which: check_provider::Which,
        /// The portal.
        #[command(flatten)]
        portal: PortalArgs,
    },
    /// List or repair changes made at identity providers and gateways outside Portico, through a running portal.
    Drift {
        /// What to do.
        #[command(subcommand)]
        what: drift::What,
        /// The portal.
        #[command(flatten)]
        portal: PortalArgs,
    },
    /// List, replay or drop stuck messages, which a service could not process, through a running portal.
    Parked {
        /// What to do.
        #[command(subcommand)]
        what: parked::What,
        /// The portal.
        #[command(flatten)]
        portal: PortalArgs,
    },
    /// Look for clients that identity providers have and the portal does not know, through a running portal.
    Orphans {
        /// What to do.
        #[command(subcommand)]
        what: orphans::What,
        /// The portal.
        #[command(flatten)]
        portal: PortalArgs,
    },
    /// Republish events, for a bus or a consumer that lost them. Portico may be running or not.
    Relay {
        /// The position after which to begin; 0 for all events.
        #[arg(long)]
        from: u64,
        /// Only of this service; may be given several times.
        #[arg(long, value_parser = names::service)]
        service: Vec<ServiceName>,
    },
    /// Bring the databases up to date and exit.
    Migrate {
        /// Only of this service; may be given several times.
        #[arg(long, value_parser = names::service)]
        service: Vec<ServiceName>,
    },
    /// Back up the data folder into one file, as of one instant. Portico may be running or not.
    Backup {
        /// The file, which must not exist yet.
        file: PathBuf,
        /// Include the key-encryption key of the data folder.
        #[arg(long)]
        with_kek: bool,
    },
    /// Restore a backup into an empty data folder.
    Restore {
        /// The backup.
        file: PathBuf,
    },
    /// Check a health URL, for containers without a shell; fails unless it answers with success.
    Healthcheck {
        /// For example `http://127.0.0.1:3000/readyz`.
        #[arg(default_value = "http://127.0.0.1:3000/readyz")]
        url: url::Url,
    },
    /// Rebuild the views from the event log. Stop the services first.
    Replay {
        /// Only of this service; may be given several times.
        #[arg(long, value_parser = names::service)]
        service: Vec<ServiceName>,
    },
    /// Encrypt all stored data keys under the present key-encryption key. Services on PostgreSQL may run.
    Rewrap {
        /// Only of this service, which may have a key-encryption key of its own; may be given several times.
        #[arg(long, value_parser = names::service)]
        service: Vec<ServiceName>,
    },
}

impl Arguments {
    /// Whether it is run by machines, which read its log.
    #[must_use]
    pub fn is_service(&self) -> bool {
        matches!(self.command, Command::Run { .. } | Command::Migrate { .. })
    }

    /// Does what the command line asks for. Gives the exit code of the program.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub async fn execute(self) -> Result<ExitCode, String> {
        // A closure, because the commands that call a running portal work without a configuration.
        let config = || Config::load(self.config.as_deref()).map_err(|errors| errors.to_string());
        let own = |service| {
            let config = config()?;
            let services = names::own(&config, service)?;
            Ok::<_, String>((config, services))
        };
        // They need none, but one that is named and wrong must not pass for a right one.
        let file = || match self.config.as_deref() {
            Some(file) => Config::check_file(file).map_err(|errors| errors.to_string()),
            None => Ok(()),
        };
        let done = match self.command {
            Command::Orphans { what, portal } => {
                file()?;
                return orphans::run(what, portal).await;
            }
            Command::Run { parts } => run::run(config()?, self.config, &parts).await,
            Command::Demo { check } => demo::demo(check, self.config).await,
            Command::CheckConfig => check_config::run(&config()?),
            Command::CheckProvider { which, portal } => {
                file()?;
                check_provider::run(which, portal).await
            }
            Command::Drift { what, portal } => {
                file()?;
                drift::run(what, portal).await
            }
            Command::Parked { what, portal } => {
                file()?;
                parked::run(what, portal).await
            }
            Command::Relay { from, service } => {
                let (config, services) = own(service)?;
                relay::run(config, &services, from).await
            }
            Command::Migrate { service } => {
                let (config, services) = own(service)?;
                migrate::run(config, &services).await
            }
            Command::Backup { file, with_kek } => backup::run(config()?, &file, with_kek).await,
            Command::Restore { file } => restore::run(config()?, &file).await,
            Command::Healthcheck { url } => healthcheck::run(url).await,
            Command::Replay { service } => {
                let (config, services) = own(service)?;
                replay::run(config, &services).await
            }
            Command::Rewrap { service } => {
                let (config, services) = own(service)?;
                rewrap::run(config, &services).await
            }
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}
