//! Services that run as separate processes.

use std::net::SocketAddr;
use std::path::PathBuf;

use portico_vault::Kek;
use url::Url;

use super::super::reader::Reader;
use super::super::{Config, ConfigError, ConfigErrors};
use super::{Tls, WEB, keks};
use crate::ServiceName;

/// Calls between services that run as separate processes.
#[derive(Debug, Clone)]
pub struct Services {
    /// Where this process listens for the others.
    pub listen: SocketAddr,
    /// Where the replicas of each service are, in the order of [`ServiceName::ALL`].
    addresses: [Vec<Url>; 6],
    /// Mutual TLS; none: not encrypted.
    pub tls: Option<MutualTls>,
    /// Key that signs identities; none: derived from the key-encryption key.
    pub identity_key: Option<Kek>,
    /// Keys that are accepted beside it while it is changed.
    pub identity_key_previous: Vec<Kek>,
}

/// Own certificate and trusted authority of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MutualTls {
    /// Certificate and key of this process. Its subject alternative names are the names of its services.
    pub own: Tls,
    /// Certificate authority (PEM) of all services.
    pub ca_file: PathBuf,
}

impl ServiceName {
    fn key(self) -> &'static str {
        match self {
            Self::Catalog => "services.catalog",
            Self::AccessRequest => "services.access_request",
            Self::Registration => "services.registration",
            Self::Gateway => "services.gateway",
            Self::Notification => "services.notification",
            Self::Accounts => "services.accounts",
        }
    }
}

impl Services {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        Self {
            listen: reader.parsed(
                "services.listen",
                "an address and port such as 127.0.0.1:3002",
            ),
            addresses: ServiceName::ALL.map(|name| reader.urls(name.key(), &WEB)),
            tls: MutualTls::read(reader),
            identity_key: reader.secret("services.identity_key").and_then(|text| {
                Kek::from_base64(text.expose())
                    .map_err(|error| reader.problem("services.identity_key", error.to_string()))
                    .ok()
            }),
            identity_key_previous: keks(reader, "services.identity_key_previous"),
        }
    }

    /// Where the replicas of a service are: addresses, or names that may stand for several.
    #[must_use]
    pub fn addresses(&self, name: ServiceName) -> &[Url] {
        let place = ServiceName::ALL.iter().position(|known| *known == name);
        place.map_or(&[], |place| &self.addresses[place])
    }
}

impl MutualTls {
    fn read(reader: &mut Reader) -> Option<Self> {
        let (cert, ca) = ("services.tls_cert_file", "services.tls_ca_file");
        let own = Tls::read(reader, cert, "services.tls_key_file");
        let ca_file = reader.file(ca);
        let (own, ca_file) = reader.both((cert, own), (ca, ca_file))?;
        Some(Self { own, ca_file })
    }
}

impl Config {
    /// Checks what a process needs that does not run everything: a key-encryption key, the addresses of the services
    /// that it does not run itself, and, where it runs a service, a database and a bus that it shares with the others.
    ///
    /// # Errors
    /// Everything that is missing or does not fit.
    pub fn check_separate(&self, own: &[ServiceName]) -> Result<(), ConfigErrors> {
        let mut problems = Vec::new();
        let mut need = |key: &str, given: bool, message: &str| {
            if !given {
                problems.push(ConfigError {
                    key: key.to_owned(),
                    message: message.to_owned(),
                    source: "portico run".to_owned(),
                });
            }
        };
        let separate = "is needed when services run as separate processes";
        need("kek or kek_file", self.kek.is_some(), separate);
        if !own.is_empty() {
            need("database.url", self.database_url.is_some(), separate);
            need("nats.url", self.nats.is_some(), separate);
        }
        let scheme = if self.services.tls.is_some() {
            "https"
        } else {
            "http"
        };
        for name in ServiceName::ALL {
            if own.contains(&name) {
                continue;
            }
            let addresses = self.services.addresses(name);
            need(name.key(), !addresses.is_empty(), separate);
            let fits = addresses.iter().all(|url| url.scheme() == scheme);
            let message = match scheme {
                "https" => "must begin with https://, since services.tls_cert_file is set",
                _ => "must begin with http://, since services.tls_cert_file is not set",
            };
            need(name.key(), fits, message);
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigErrors(problems))
        }
    }
}
