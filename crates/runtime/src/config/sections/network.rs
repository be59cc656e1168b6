//! TLS files, the public gRPC listener, limits of connections, NATS.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

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

/// Limits of the connections that a listener takes, and of the streams that stay open on them.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// At the same time, of one listener.
    pub max: usize,
    /// Of these, from one network address: an IPv4 address or an IPv6 network of 64 bits.
    pub max_per_address: usize,
    /// Time for the head of a request, from its first byte; also for the TLS handshake.
    pub header_timeout: Duration,
    /// How long a connection stays open without a request, and how long a peer may read nothing of an answer.
    pub idle_timeout: Duration,
    /// Event streams that one user may have open, of one listener.
    pub streams_per_user: usize,
}

impl Connections {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        let connections = Self {
            max: reader.number("connections.max"),
            max_per_address: reader.number("connections.max_per_address"),
            header_timeout: reader.duration("connections.header_timeout"),
            idle_timeout: reader.duration("connections.idle_timeout"),
            streams_per_user: reader.number("connections.streams_per_user"),
        };
        if connections.max_per_address > connections.max {
            let message = "must not be larger than connections.max";
            reader.problem("connections.max_per_address", message);
        }
        connections
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
