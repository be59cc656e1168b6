//! The sections, and what must go together in each.

mod network;
mod people;
mod retention;
mod retry;
mod services;
mod telemetry;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use portico_eventstore::PoolSettings;
use portico_vault::{Kek, Secret};
use tracing_subscriber::EnvFilter;
use url::Url;

use super::nearest::did_you_mean;
use super::reader::Reader;
use crate::outgoing::{AllowList, OutgoingSettings};
pub(super) use network::health_listen;
pub use network::{Connections, Grpc, Nats, Tls};
use people::is_mail_address;
pub use people::{Admin, Attempts, Passwords, Session, Signup};
pub use retention::Retention;
pub use retry::Retry;
pub use services::{MutualTls, Services};
pub use telemetry::{Collector, Telemetry};

const WEB: [&str; 2] = ["https", "http"];

/// Whether to run migrations at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrate {
    /// Run them.
    Auto,
    /// Wait until another process has run them.
    Never,
}

impl Migrate {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let choices = [("auto", Self::Auto), ("never", Self::Never)];
        reader.choice("database.migrate", &choices)
    }
}

pub(super) fn database_pool(reader: &mut Reader) -> PoolSettings {
    let pool = PoolSettings {
        max_connections: reader.number("database.max_connections"),
        connection_wait: reader.duration("database.connection_wait"),
        lock_wait: reader.duration("database.lock_wait"),
        idle_in_transaction: reader.duration("database.idle_in_transaction"),
    };
    if pool.max_connections < 2 {
        // A rebuild of views reads the log beside its transaction.
        reader.problem("database.max_connections", "must be at least 2");
    }
    pool
}

/// The mail server and the sender.
#[derive(Debug, Clone)]
pub struct Mail {
    /// None: e-mails are kept and not sent.
    pub smtp_url: Option<Secret>,
    /// For all of a delivery.
    pub timeout: Duration,
    /// Sender of all e-mails: an address, or `Name <address>`.
    pub from: String,
}

impl Mail {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            smtp_url: smtp_url(reader),
            timeout: reader.duration("smtp.timeout"),
            from: {
                let from = reader.text("mail.from");
                let address = from
                    .rsplit_once('<')
                    .map_or(from.as_str(), |(_, rest)| rest.trim_end_matches('>'));
                if !is_mail_address(address) || from.contains(char::is_control) {
                    reader.problem(
                        "mail.from",
                        "must be an e-mail address, or a name and an address: Portico <portico@example.org>",
                    );
                }
                from
            },
        }
    }
}

/// The mail server; a password for it goes over TLS or to this machine, unless the operator says otherwise.
fn smtp_url(reader: &mut Reader) -> Option<Secret> {
    let in_clear = reader.choice("smtp.password_in_clear", &[("no", false), ("yes", true)]);
    let url = reader.url("smtp.url", &["smtp", "smtps"])?;
    let encrypted = url.scheme() == "smtps"
        || url
            .query_pairs()
            .any(|pair| pair == ("tls".into(), "required".into()));
    if url.password().is_some() && !encrypted && !is_this_machine(&url) && !in_clear {
        reader.problem(
            "smtp.url",
            "would send the password in clear: use smtps://, add ?tls=required, or set smtp.password_in_clear to \"yes\"",
        );
    }
    Some(Secret::new(url.as_str()))
}

/// Whether what is said to this host stays on this machine.
pub(super) fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => is_local_name(name),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Hosts of URLs whose scheme is not the web's are texts, also where they are addresses.
fn is_local_name(name: &str) -> bool {
    let is_loopback = |address: IpAddr| address.is_loopback();
    name == "localhost" || name.ends_with(".localhost") || name.parse().is_ok_and(is_loopback)
}

/// Level and format of log lines.
#[derive(Debug, Clone)]
pub struct Log {
    /// A filter that `tracing_subscriber` understands.
    pub level: String,
    /// For people or for machines.
    pub format: LogFormat,
    /// How much of the network addresses of callers is logged.
    pub addresses: LogAddresses,
}

/// How much of the network addresses of callers is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogAddresses {
    /// A network of 24 (IPv4) or 48 (IPv6) bits.
    Short,
    /// All of it.
    Full,
    /// Nothing.
    None,
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines that are easy to read in a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

fn is_level(word: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
}

impl Log {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let level = reader.text("log.level");
        // A word that is no level would be taken for the name of a part, and all others be silent.
        let words = level
            .split(',')
            .map(str::trim)
            .filter(|word| !word.contains('='));
        let wrong = words
            .into_iter()
            .find(|word| !word.is_empty() && !is_level(word));
        if wrong.is_some() || EnvFilter::try_new(&level).is_err() {
            let meant = wrong.map_or_else(String::new, |word| did_you_mean(word, LEVELS));
            let right =
                "must be error, warn, info, debug, trace or off, also for parts: info,sqlx=warn";
            reader.problem("log.level", format!("{right}{meant}"));
        }
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let addresses = [
            ("short", LogAddresses::Short),
            ("full", LogAddresses::Full),
            ("none", LogAddresses::None),
        ];
        Self {
            level,
            format: reader.choice("log.format", &formats),
            addresses: reader.choice("log.addresses", &addresses),
        }
    }
}

/// Where this machine finds what listens there.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip().is_unspecified() {
        true => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port()),
        false => listen,
    }
}

/// The origin under which people reach the portal.
pub(super) fn public_url(reader: &mut Reader, listen: SocketAddr) -> Url {
    reader.value("public_url", |value| {
        let given = value.as_str().unwrap_or("?");
        let text = match given {
            "" => format!("http://{}", reachable(listen)),
            given => given.to_owned(),
        };
        let wrong = "must be scheme, host and port, such as https://portal.example.org";
        match super::values::url(&text, &WEB) {
            Ok(url)
                if url.path() == "/"
                    && url.query().is_none()
                    && url.fragment().is_none()
                    && url.username().is_empty() =>
            {
                Ok(url)
            }
            _ => Err(wrong.to_owned()),
        }
    })
}

/// The key-encryption key that is given, in the configuration or in a file.
pub(super) fn kek(reader: &mut Reader) -> Option<Kek> {
    let text = reader.secret("kek");
    let file = reader.optional("kek_file");
    if text.is_some() && file.is_some() {
        reader.problem("kek_file", "must not be set with kek");
    }
    let (key, read) = match (text, file) {
        (Some(text), _) => ("kek", Kek::from_base64(text.expose())),
        (None, Some(file)) => ("kek_file", Kek::from_file(file)),
        (None, None) => return None,
    };
    read.map_err(|error| reader.problem(key, error.to_string()))
        .ok()
}

/// A list of keys in base64.
pub(super) fn keks(reader: &mut Reader, key: &'static str) -> Vec<Kek> {
    let mut keks = Vec::new();
    for text in reader.secrets(key) {
        match Kek::from_base64(text.expose()) {
            Ok(kek) => keks.push(kek),
            Err(error) => reader.problem(key, error.to_string()),
        }
    }
    keks
}

/// Identities tell seconds.
pub(super) fn clock_tolerance(reader: &mut Reader) -> Duration {
    let tolerance = reader.duration("clock.tolerance");
    if tolerance.subsec_nanos() > 0 {
        reader.problem("clock.tolerance", "must be whole seconds");
    }
    tolerance
}

pub(super) fn outgoing(reader: &mut Reader, allow: Arc<AllowList>) -> OutgoingSettings {
    OutgoingSettings {
        allow,
        ports: reader.parsed_list("outgoing.allowed_ports"),
        connect_timeout: reader.duration("outgoing.connect_timeout"),
        timeout: reader.duration("outgoing.timeout"),
        max_body: reader.number("outgoing.max_body_bytes"),
        proxy: reader.secret_url("outgoing.proxy", &WEB),
    }
}
