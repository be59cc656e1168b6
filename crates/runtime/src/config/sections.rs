//! What is in a section, and what must go together.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portico_vault::{Kek, Secret};
use tracing_subscriber::EnvFilter;
use url::Url;

use super::reader::Reader;
use crate::outgoing::{AllowList, OutgoingSettings};

const WEB: [&str; 2] = ["https", "http"];
const SHORTEST_PASSWORD: usize = 8;

/// Who may sign up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signup {
    /// Anybody.
    Open,
    /// Whom an admin lets in.
    Approval,
    /// Who was invited.
    Closed,
}

impl Signup {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let choices = [
            ("open", Self::Open),
            ("approval", Self::Approval),
            ("closed", Self::Closed),
        ];
        reader.choice("signup", &choices)
    }
}

/// The first admin.
#[derive(Debug, Clone)]
pub struct Admin {
    /// E-mail address, to sign in with.
    pub email: Secret,
    /// Password.
    pub password: Secret,
}

impl Admin {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let email = reader.optional("admin.email");
        let password = reader.secret("admin.password");
        match (email, password) {
            (Some(email), Some(password)) => {
                if !is_mail_address(&email) {
                    reader.problem("admin.email", "must be an e-mail address");
                }
                if password.expose().chars().count() < SHORTEST_PASSWORD {
                    reader.problem(
                        "admin.password",
                        format!("must have {SHORTEST_PASSWORD} characters or more"),
                    );
                }
                Some(Self {
                    email: email.into(),
                    password,
                })
            }
            (Some(_), None) => {
                reader.problem("admin.password", "must be set with admin.email");
                None
            }
            (None, Some(_)) => {
                reader.problem("admin.email", "must be set with admin.password");
                None
            }
            (None, None) => None,
        }
    }
}

/// Certificate and key, in PEM files that exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, with its chain.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
}

impl Tls {
    fn read(reader: &mut Reader, cert: &'static str, key: &'static str) -> Option<Self> {
        match (reader.file(cert), reader.file(key)) {
            (Some(cert_file), Some(key_file)) => Some(Self {
                cert_file,
                key_file,
            }),
            (Some(_), None) if !reader.is_given(key) => {
                reader.problem(key, format!("must be set with {cert}"));
                None
            }
            (None, Some(_)) if !reader.is_given(cert) => {
                reader.problem(cert, format!("must be set with {key}"));
                None
            }
            _ => None,
        }
    }
}

/// The public gRPC API.
#[derive(Debug, Clone)]
pub struct Grpc {
    /// Its address.
    pub listen: SocketAddr,
    /// None: not encrypted.
    pub tls: Option<Tls>,
}

impl Grpc {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            listen: reader.parsed("grpc.listen", "an address and port such as 127.0.0.1:3001"),
            tls: Tls::read(reader, "grpc.tls_cert_file", "grpc.tls_key_file"),
        }
    }
}

/// Calls between services that run as separate processes.
#[derive(Debug, Clone)]
pub struct Services {
    /// Where this process listens for the others.
    pub listen: SocketAddr,
    /// Where the catalog service is.
    pub catalog: Option<Url>,
    /// Where the access-request service is.
    pub access_request: Option<Url>,
    /// Where the registration service is.
    pub registration: Option<Url>,
    /// Where the notification service is.
    pub notification: Option<Url>,
    /// Where the accounts service is.
    pub accounts: Option<Url>,
    /// Certificate of this process.
    pub tls: Option<Tls>,
    /// Authority that signed the certificates of the others.
    pub tls_ca_file: Option<PathBuf>,
}

impl Services {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            listen: reader.parsed(
                "services.listen",
                "an address and port such as 127.0.0.1:3002",
            ),
            catalog: reader.url("services.catalog", &WEB),
            access_request: reader.url("services.access_request", &WEB),
            registration: reader.url("services.registration", &WEB),
            notification: reader.url("services.notification", &WEB),
            accounts: reader.url("services.accounts", &WEB),
            tls: Tls::read(reader, "services.tls_cert_file", "services.tls_key_file"),
            tls_ca_file: reader.file("services.tls_ca_file"),
        }
    }
}

/// NATS with JetStream.
#[derive(Debug, Clone)]
pub struct Nats {
    /// Where it is.
    pub url: Secret,
    /// Credentials (`.creds`).
    pub credentials_file: Option<PathBuf>,
    /// Certificate authority (PEM).
    pub ca_file: Option<PathBuf>,
    /// Copies of each message.
    pub replicas: u8,
}

impl Nats {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let url = reader.secret_url("nats.url", &["nats", "tls"]);
        let credentials_file = reader.file("nats.credentials_file");
        let ca_file = reader.file("nats.ca_file");
        let replicas = reader.number("nats.replicas");
        url.map(|url| Self {
            url,
            credentials_file,
            ca_file,
            replicas,
        })
    }
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
            smtp_url: reader.secret_url("smtp.url", &["smtp", "smtps"]),
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

/// Single sign-on at an OpenID provider.
#[derive(Debug, Clone)]
pub struct Sso {
    /// What the button says.
    pub name: String,
    /// The provider's configuration.
    pub well_known_url: Url,
    /// Our client there.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
}

impl Sso {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let name = reader.optional("sso.name");
        let well_known_url = reader.url("sso.well_known_url", &WEB);
        let client_id = reader.optional("sso.client_id");
        let client_secret = reader.secret("sso.client_secret");
        let missing = [
            ("sso.name", name.is_none()),
            ("sso.well_known_url", well_known_url.is_none()),
            ("sso.client_id", client_id.is_none()),
            ("sso.client_secret", client_secret.is_none()),
        ];
        let some_given = missing.iter().any(|(_, missing)| !missing);
        for (key, missing) in missing {
            if some_given && missing && !reader.is_given(key) {
                reader.problem(key, "must be set with the other keys of this section");
            }
        }
        Some(Self {
            name: name?,
            well_known_url: well_known_url?,
            client_id: client_id?,
            client_secret: client_secret?,
        })
    }
}

/// How long people stay signed in.
#[derive(Debug, Clone, Copy)]
pub struct Session {
    /// At most.
    pub lifetime: Duration,
    /// Without doing anything.
    pub idle: Duration,
}

impl Session {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let session = Self {
            lifetime: reader.duration("session.lifetime"),
            idle: reader.duration("session.idle"),
        };
        if session.idle > session.lifetime {
            reader.problem("session.idle", "must not be longer than session.lifetime");
        }
        session
    }
}

/// How what failed for a passing reason is tried again.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Pause before the second try.
    pub first_delay: Duration,
    /// Longest pause.
    pub max_delay: Duration,
    /// Tries until it is parked.
    pub max_attempts: u32,
}

impl Retry {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let retry = Self {
            first_delay: reader.duration("retry.first_delay"),
            max_delay: reader.duration("retry.max_delay"),
            max_attempts: reader.number("retry.max_attempts"),
        };
        if retry.first_delay > retry.max_delay {
            reader.problem(
                "retry.first_delay",
                "must not be longer than retry.max_delay",
            );
        }
        retry
    }
}

/// Logging.
#[derive(Debug, Clone)]
pub struct Log {
    /// A filter that `tracing_subscriber` understands.
    pub level: String,
    /// For people or for machines.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Log {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let level = reader.text("log.level");
        if EnvFilter::try_new(&level).is_err() {
            reader.problem(
                "log.level",
                "must be error, warn, info, debug or trace, also for parts: info,sqlx=warn",
            );
        }
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        Self {
            level,
            format: reader.choice("log.format", &formats),
        }
    }
}

/// The origin under which people reach the portal.
pub(super) fn public_url(reader: &mut Reader, listen: SocketAddr) -> Url {
    reader.value("public_url", |value| {
        let given = value.as_str().unwrap_or("?");
        let host = match listen.ip() {
            ip if ip.is_unspecified() => {
                SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port())
            }
            _ => listen,
        };
        let text = if given.is_empty() {
            format!("http://{host}")
        } else {
            given.to_owned()
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

pub(super) fn kek_previous(reader: &mut Reader) -> Vec<Kek> {
    let key = "kek_previous";
    let mut keks = Vec::new();
    for text in reader.secrets(key) {
        match Kek::from_base64(text.expose()) {
            Ok(kek) => keks.push(kek),
            Err(error) => reader.problem(key, error.to_string()),
        }
    }
    keks
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

/// Only the obvious: whether an address is right, only sending shows.
fn is_mail_address(text: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>,;".contains(c);
    match text.rsplit_once('@') {
        Some((name, host)) => !name.is_empty() && !host.is_empty() && !text.contains(odd),
        None => false,
    }
}
