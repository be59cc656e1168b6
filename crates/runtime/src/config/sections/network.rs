//! TLS files, the public gRPC listener, NATS.

use std::net::SocketAddr;
use std::path::PathBuf;

use portico_vault::Secret;

use super::super::reader::Reader;

/// Certificate and key, in PEM files that exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, with its chain.
    pub cert_file: PathBuf,
    /// PEM file of the certificate's private key.
    pub key_file: PathBuf,
}

impl Tls {
    pub(in crate::config) fn read(
        reader: &mut Reader,
        cert: &'static str,
        key: &'static str,
    ) -> Option<Self> {
        let (cert, key) = ((cert, reader.file(cert)), (key, reader.file(key)));
        let (cert_file, key_file) = reader.both(cert, key)?;
        Some(Self {
            cert_file,
            key_file,
        })
    }
}

/// The public gRPC API.
#[derive(Debug, Clone)]
pub struct Grpc {
    /// Address and port that the public gRPC API listens on.
    pub listen: SocketAddr,
    /// None: not encrypted.
    pub tls: Option<Tls>,
}

impl Grpc {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        Self {
            listen: reader.parsed("grpc.listen", "an address and port such as 127.0.0.1:3001"),
            tls: Tls::read(reader, "grpc.tls_cert_file", "grpc.tls_key_file"),
        }
    }
}

/// NATS with JetStream.
#[derive(Debug, Clone)]
pub struct Nats {
    /// URL of the NATS server; may hold credentials.
    pub url: Secret,
    /// Credentials (`.creds`).
    pub credentials_file: Option<PathBuf>,
    /// Certificate authority (PEM).
    pub ca_file: Option<PathBuf>,
    /// Copies of each message.
    pub replicas: u8,
}

impl Nats {
    pub(in crate::config) fn read(reader: &mut Reader) -> Option<Self> {
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
