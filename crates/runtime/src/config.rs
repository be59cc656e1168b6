//! The configuration: `config.default.toml`, which is its manual, then a file, then the environment. All of it is
//! checked before anything starts, and every problem is told at once.
//!
//! - [`layers`]: what is given, and where; keys that do not exist
//! - [`nearest`]: what was meant by what does not exist
//! - [`reader`]: typed values out of it, and the problems found
//! - [`sections`]: what is in a section, and what must go together
//! - [`values`]: durations, addresses, URLs

mod layers;
mod nearest;
mod reader;
mod sections;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portico_eventstore::PoolSettings;
use portico_vault::{Kek, KekError, KekRing, Secret};
use url::Url;

use crate::ServiceName;
use crate::outgoing::{AllowList, OutgoingSettings};
use layers::Layers;
use reader::Reader;
pub use sections::{
    Admin, Attempts, Collector, Connections, Grpc, Log, LogAddresses, LogFormat, Mail, Migrate,
    MutualTls, Nats, Passwords, Retention, Retry, Services, Session, Signup, Telemetry, Tls,
};
use values::Network;

/// Environment variable that names the configuration file.
pub const FILE_VARIABLE: &str = "PORTICO_CONFIG";

/// The checked configuration. Sections and keys are as in `config.default.toml`, which says what they mean.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder for everything that is written when nothing else is configured.
    pub data_dir: PathBuf,
    /// Address of the portal and its REST API.
    pub listen: SocketAddr,
    /// Origin under which people reach it.
    pub public_url: Url,
    /// Sign-up policy.
    pub signup: Signup,
    /// Private addresses that outgoing calls may reach.
    pub allow_private_addresses: Arc<AllowList>,
    /// Folder that overrides the built-in theme.
    pub theme_dir: Option<PathBuf>,
    /// The key-encryption key, if one is given; see [`Config::kek_ring`].
    pub kek: Option<Kek>,
    /// Former keys.
    pub kek_previous: Vec<Kek>,
    /// How often certificates are read again.
    pub tls_reload_interval: Duration,
    /// How far clocks of one installation may differ.
    pub clock_tolerance: Duration,
    /// Admin that is created on an empty store.
    pub admin: Option<Admin>,
    /// The public gRPC API.
    pub grpc: Grpc,
    /// Where health and metrics are answered apart from everything else; see [`Config::probes`].
    pub health_listen: Option<SocketAddr>,
    /// Limits of connections.
    pub connections: Connections,
    /// Networks of the reverse proxies in front of the portal.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Calls between separate processes.
    pub services: Services,
    /// PostgreSQL; otherwise SQLite files.
    pub database_url: Option<Secret>,
    /// Connections to it, of each service.
    pub database_pool: PoolSettings,
    /// Whether to run migrations at the start.
    pub migrate: Migrate,
    /// NATS; otherwise events stay within the process.
    pub nats: Option<Nats>,
    /// The mail server and the sender.
    pub mail: Mail,
    /// How long people stay signed in.
    pub session: Session,
    /// How many passwords are hashed at the same time.
    pub passwords: Passwords,
    /// How many things a worker of this process does outside at a time.
    pub work_at_once: u16,
    /// How often signing in may fail, and how often an address may sign up.
    pub attempts: Attempts,
    /// Back-off of retries.
    pub retry: Retry,
    /// What is deleted because of its age.
    pub retention: Retention,
    /// How long the secret before a rotation works, where a provider keeps both.
    pub old_secret_lifetime: Duration,
    /// Limits of calls to addresses that people type in.
    pub outgoing: OutgoingSettings,
    /// Level and format of log lines.
    pub log: Log,
    /// Traces and metrics for a collector.
    pub telemetry: Telemetry,
    /// How long readiness says no after a signal before connections are refused.
    pub shutdown_notice: Duration,
    /// How long what has begun may take after that.
    pub shutdown_deadline: Duration,
    masked: String,
    fingerprints: BTreeMap<String, u64>,
}

/// What a command sets itself, by key. Keys and values are as in `config.default.toml`.
#[derive(Debug, Clone, Default)]
pub struct OwnSettings {
    /// The command, as it stands in messages.
    pub command: &'static str,
    /// Where nothing else is configured.
    pub defaults: Vec<(&'static str, String)>,
    /// In every case: whoever configures one of them is told that it cannot be.
    pub fixed: Vec<(&'static str, String)>,
    /// In every case, because it is known better by now: an address that was bound.
    pub known: Vec<(&'static str, String)>,
}

/// All problems of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

/// One problem. The message never holds the value, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The key, as in `config.default.toml`, or the variable or file.
    pub key: String,
    /// What the setting must be, for the operator.
    pub message: String,
    /// Where the value comes from: a variable, a file or `default`.
    pub source: String,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "the configuration has {count} {noun}:")?;
        for error in &self.0 {
            write!(f, "\n- {error}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.key, self.message, self.source)
    }
}

impl Config {
    /// Reads the file, if one is given here or by `PORTICO_CONFIG`, and the environment of this process.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigErrors> {
        Self::from_parts(file, std::env::vars_os())
    }

    /// As [`Config::load`], with these variables instead of the environment.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn from_parts<N: Into<OsString>, V: Into<OsString>>(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, ConfigErrors> {
        Self::with_own(file, variables, &OwnSettings::default())
    }

    /// As [`Config::from_parts`], for a command that has settings of its own.
    ///
    /// # Errors
    /// Everything that is wrong, also a setting that the command has itself.
    pub fn with_own<N: Into<OsString>, V: Into<OsString>>(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (N, V)>,
        own: &OwnSettings,
    ) -> Result<Self, ConfigErrors> {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let mut reader = Reader::new(Layers::gather(file, variables, own));
        let mut config = Self::read(&mut reader);
        config.masked = reader.masked();
        config.fingerprints = reader.fingerprints();
        reader.finish().map(|()| config)
    }

    /// Whether a file can be read and has only keys that exist, for commands that need no configuration themselves. What
    /// its values mean is not looked at: other variables may belong to it.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    pub fn check_file(file: &Path) -> Result<(), ConfigErrors> {
        let nothing = std::iter::empty();
        let problems = Layers::gather(Some(file), nothing, &OwnSettings::default()).problems;
        match problems.is_empty() {
            true => Ok(()),
            false => Err(ConfigErrors(problems)),
        }
    }

    fn read(reader: &mut Reader) -> Self {
        let listen = reader.parsed("listen", "an address and port such as 127.0.0.1:3000");
        let bus_max_age = reader.duration("nats.max_age");
        let allow: Arc<AllowList> = Arc::new(reader.parsed_list("allow_private_addresses"));
        Self {
            data_dir: reader.path("data_dir"),
            listen,
            public_url: sections::public_url(reader, listen),
            signup: Signup::read(reader),
            allow_private_addresses: Arc::clone(&allow),
            theme_dir: reader.folder("theme_dir"),
            kek: sections::kek(reader),
            kek_previous: sections::keks(reader, "kek_previous"),
            tls_reload_interval: reader.duration("tls.reload_interval"),
            clock_tolerance: sections::clock_tolerance(reader),
            admin: Admin::read(reader),
            grpc: Grpc::read(reader),
            health_listen: sections::health_listen(reader),
            connections: Connections::read(reader),
            trusted_proxies: reader
                .parsed_list::<_, Vec<_>>("http.trusted_proxies")
                .into_iter()
                .map(|Network(net)| net)
                .collect(),
            services: Services::read(reader),
            database_url: reader.secret_url("database.url", &["postgres", "postgresql"]),
            database_pool: sections::database_pool(reader),
            migrate: Migrate::read(reader),
            nats: Nats::read(reader, bus_max_age),
            mail: Mail::read(reader),
            session: Session::read(reader),
            passwords: Passwords::read(reader),
            work_at_once: reader.number("work.at_once"),
            attempts: Attempts::read(reader),
            retry: Retry::read(reader),
            retention: Retention::read(reader, bus_max_age),
            old_secret_lifetime: reader.duration_or_none("registration.old_secret_lifetime"),
            outgoing: sections::outgoing(reader, allow),
            log: Log::read(reader),
            telemetry: Telemetry::read(reader),
            shutdown_notice: reader.duration_or_none("shutdown.notice"),
            shutdown_deadline: reader.duration("shutdown.deadline"),
            masked: String::new(),
            fingerprints: BTreeMap::new(),
        }
    }

    /// The whole configuration, one key a line with where it comes from, secrets
    /// masked: what `portico check-config` prints.
    #[must_use]
    pub fn print_masked(&self) -> &str {
        &self.masked
    }

    /// Keys whose values are others than in another configuration of this process.
    #[must_use]
    pub fn changed_since(&self, before: &Self) -> Vec<&str> {
        let changed = self.fingerprints.iter();
        let changed = changed.filter(|(key, value)| before.fingerprints.get(*key) != Some(value));
        changed.map(|(key, _)| key.as_str()).collect()
    }

    /// In which format log lines are written, whatever is wrong with the rest of the configuration.
    #[must_use]
    pub fn log_format(file: Option<&Path>) -> LogFormat {
        let layers = Layers::gather(file, std::env::vars_os(), &OwnSettings::default());
        Log::read(&mut Reader::new(layers)).format
    }

    /// The key-encryption keys: those given, or the one in the data folder, made
    /// if it is not there. The flag says whether it was made now.
    ///
    /// # Errors
    /// The file in the data folder cannot be read, written, or holds no key.
    pub fn kek_ring(&self) -> Result<(KekRing, bool), KekError> {
        let (active, generated) = match &self.kek {
            Some(kek) => (kek.clone(), false),
            None => Kek::load_or_generate(&self.data_dir)?,
        };
        let ring = KekRing::new(active, self.kek_previous.iter().cloned());
        Ok((ring, generated))
    }

    /// What is allowed and hardly meant: said at the start of the edge, and by `portico check-config`.
    #[must_use]
    pub fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        let https = self.public_url.scheme() == "https";
        let at_home = sections::is_this_machine(&self.public_url) && self.listen.ip().is_loopback();
        if !https && !at_home {
            warnings.push(
                "public_url: the portal is reached over plain http from other machines, so passwords, sessions and tokens \
                 can be read on the way; put a proxy with TLS before it and set public_url to https://",
            );
        }
        // Portico itself serves pages over plain http, so https is a proxy's.
        if https && self.trusted_proxies.is_empty() {
            warnings.push(
                "http.trusted_proxies is not set: for limits everybody has the address of the proxy that serves \
                 public_url; set it to the proxy's network",
            );
        }
        if self.trusted_proxies.iter().any(|net| net.prefix_len() == 0) {
            warnings.push(
                "http.trusted_proxies has all addresses: anybody can say in X-Forwarded-For who they are, and so escape every \
                 limit by address; set it to the proxy's network",
            );
        }
        if self.allow_private_addresses.has_everything() {
            warnings.push(
                "allow_private_addresses has all addresses: whoever types in an address of a provider or gateway reaches every \
                 host of your network; list those that are meant",
            );
        }
        for (window, warning) in [
            (
                self.attempts.window,
                "attempts.window is shorter than a second, so failed sign-ins have no limit",
            ),
            (
                self.attempts.sign_up_window,
                "attempts.sign_up_window is shorter than a second, so sign-ups have no limit",
            ),
        ] {
            if window < Duration::from_secs(1) {
                warnings.push(warning);
            }
        }
        warnings
    }

    /// Where a process answers `/healthz`, `/readyz` and `/metrics`; without an address of their own the edge does it at
    /// its public one.
    #[must_use]
    pub fn probes(&self, edge: bool) -> SocketAddr {
        let own = match edge {
            true => self.listen,
            false => SocketAddr::from((Ipv4Addr::LOCALHOST, 3003)),
        };
        self.health_listen.unwrap_or(own)
    }

    /// Folder for everything that is written when nothing else is configured.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Where a service's database is: the configured one, or a SQLite file.
    #[must_use]
    pub fn database_of(&self, service: ServiceName) -> Secret {
        match &self.database_url {
            Some(url) => url.clone(),
            None => {
                let file = self.data_dir.join(format!("{}.db", service.as_str()));
                Secret::new(format!("sqlite://{}?mode=rwc", file.display()))
            }
        }
    }

    /// PostgreSQL; otherwise SQLite files.
    #[must_use]
    pub fn database_url(&self) -> Option<&Secret> {
        self.database_url.as_ref()
    }
}
