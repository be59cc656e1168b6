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

/// Address and port of health and metrics, where they have one of their own.
pub(in crate::config) fn health_listen(reader: &mut Reader) -> Option<SocketAddr> {
    let text = reader.optional("health.listen")?;
    let parsed = text.trim().parse();
    parsed
        .map_err(|_| {
            let message = "must be an address and port such as 127.0.0.1:3003";
            reader.problem("health.listen", message);
        })
        .ok()
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
    /// How long a connection stays open without a request.
    pub idle_timeout: Duration,
    /// How long a peer may read nothing of an answer, or send nothing of a body.
    pub stall_timeout: Duration,
    /// Bytes a second that a peer reads at least of what waits for it, on an average of [`Self::stall_timeout`]; 0: any.
    pub min_read_rate: u32,
    /// Requests at the same time on one HTTP/2 connection (RFC 9113 section 5.1.2).
    pub requests_per_connection: u32,
    /// Bytes of the bodies of requests that are not answered yet, of one listener.
    pub max_body_bytes: usize,
    /// Event streams that one user may have open, of one listener.
    pub streams_per_user: usize,
    /// Streams about health, which anybody may open, of one listener.
    pub health_streams: usize,
}

/// That any listener takes: of a gRPC message.
const LARGEST_BODY: usize = 4 << 20;

impl Connections {
    /// Event streams of all users together, of one listener.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.max
    }

    /// Bytes of the bodies of requests from one address: as large a share of all as it may have of the connections.
    #[must_use]
    pub fn max_body_bytes_per_address(&self) -> usize {
        let share = self.max_body_bytes / self.max.max(1) * self.max_per_address;
        share.max(LARGEST_BODY.min(self.max_body_bytes / 2))
    }

    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        let connections = Self {
            max: reader.number("connections.max"),
            max_per_address: reader.number("connections.max_per_address"),
            header_timeout: reader.duration("connections.header_timeout"),
            idle_timeout: reader.duration("connections.idle_timeout"),
            stall_timeout: reader.duration("connections.stall_timeout"),
            min_read_rate: reader.number("connections.min_read_rate"),
            requests_per_connection: reader.number("connections.requests_per_connection"),
            max_body_bytes: reader.number("connections.max_body_bytes"),
            streams_per_user: reader.number("connections.streams_per_user"),
            health_streams: reader.number("connections.health_streams"),
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
    /// How long the stream keeps a message.
    pub max_age: Duration,
    /// How many bytes the stream keeps.
    pub max_bytes: u64,
}

impl Nats {
    pub(in crate::config) fn read(reader: &mut Reader, max_age: Duration) -> Option<Self> {
        let url = reader.secret_url("nats.url", &["nats", "tls"]);
        let credentials_file = reader.file("nats.credentials_file");
        let ca_file = reader.file("nats.ca_file");
        let replicas = reader.number("nats.replicas");
        let max_bytes: u64 = reader.number("nats.max_bytes");
        if i64::try_from(max_bytes).is_err() {
            reader.problem("nats.max_bytes", "is too large");
        }
        url.map(|url| Self {
            url,
            credentials_file,
            ca_file,
            replicas,
            max_age,
            max_bytes,
        })
    }
}
