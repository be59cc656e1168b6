//! Where the NATS servers are and how the stream is kept.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_nats::{ConnectOptions, Event, ServerAddr};
use rand::RngExt;
use tokio::sync::watch;

use super::condition::Condition;
use crate::BusError;

/// Longest wait between two attempts to reach a server or to make the stream again.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// A dead connection without a closed socket is noticed after two of these.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// Settings of a [`super::NatsBus`].
#[derive(Clone)]
pub struct NatsSettings {
    /// `nats://` or `tls://` addresses of one cluster, comma separated; `user:password@` or `token@` before the
    /// host of the first one is used for all. Never shown.
    pub url: String,
    /// The stream that holds `portico.>`.
    pub stream: String,
    /// Name of this client in the server's connection list, and of its inbox: a NATS user that may subscribe to
    /// `_INBOX.<name>.>` only sees no answers that are meant for others.
    pub client_name: String,
    /// Where readiness stores a message and reads it: a subject of the stream that no event has.
    pub probe_subject: String,
    /// How long a delivery may stay unacknowledged before it is repeated. Counts from when the server sends it,
    /// so a [`NatsSettings::batch`] has to be handled in that time.
    pub ack_wait: Duration,
    /// How many deliveries of one consumer may be unacknowledged, over all replicas.
    pub max_ack_pending: u32,
    /// How many messages a replica fetches ahead.
    pub batch: u32,
    /// Copies in a cluster: 1, 3 or 5.
    pub replicas: u8,
    /// Messages older than this are deleted, consumed or not. A consumer that is declared for the first time
    /// gets everything younger.
    pub max_age: Duration,
    /// Bytes that the stream keeps; the oldest messages are deleted for new ones, consumed or not.
    pub max_bytes: u64,
    /// How long the server recognises a repeated message id. Only a help: consumers go through the inbox.
    pub duplicate_window: Duration,
    /// How long the server may take to acknowledge a publish or to answer a request.
    pub timeout: Duration,
    /// How long `connect` waits for the first connection before it returns and goes on trying.
    pub connect_wait: Duration,
    /// A `.creds` file (JWT and nkey), as made by `nsc`.
    pub credentials_file: Option<PathBuf>,
    /// PEM file with the certificate authority of the servers, if the system does not know it.
    pub ca_file: Option<PathBuf>,
}

impl Default for NatsSettings {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".into(),
            stream: "PORTICO".into(),
            client_name: "portico".into(),
            probe_subject: "portico.probe".into(),
            ack_wait: Duration::from_secs(15),
            max_ack_pending: 1024,
            batch: 64,
            replicas: 1,
            max_age: Duration::from_hours(14 * 24),
            max_bytes: 1 << 30,
            duplicate_window: Duration::from_mins(2),
            timeout: Duration::from_secs(5),
            connect_wait: Duration::from_secs(2),
            credentials_file: None,
            ca_file: None,
        }
    }
}

impl fmt::Debug for NatsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> = self
            .url
            .split(',')
            .map(|server| split_user(server).0)
            .collect();
        f.debug_struct("NatsSettings")
            .field("url", &servers.join(","))
            .field("stream", &self.stream)
            .field("replicas", &self.replicas)
            .field("credentials_file", &self.credentials_file)
            .finish_non_exhaustive()
    }
}

impl NatsSettings {
    /// Addresses without user and password, which would otherwise appear in the client's own traces.
    pub(super) fn servers(&self) -> Result<Vec<ServerAddr>, BusError> {
        self.url
            .split(',')
            .map(|server| split_user(server).0.parse())
            .collect::<Result<_, _>>()
            // The cause would repeat the address.
            .map_err(|_| BusError::Unavailable("the NATS address is not a valid URL".into()))
    }

    /// How to connect: for ever, with back-off, in the background. `connected` counts the connections made and
    /// is told of each change, `condition` what the server says.
    pub(super) async fn options(
        &self,
        connected: watch::Sender<Connection>,
        condition: Arc<Condition>,
    ) -> Result<ConnectOptions, BusError> {
        let mut options = ConnectOptions::new()
            .name(&self.client_name)
            .custom_inbox_prefix(format!("_INBOX.{}", self.client_name))
            .retry_on_initial_connect()
            .max_reconnects(None)
            .ping_interval(PING_INTERVAL)
            .connection_timeout(self.timeout)
            .request_timeout(Some(self.timeout))
            .reconnect_delay_callback(backoff)
            .event_callback(move |event| {
                note(&connected, &condition, &event);
                async {}
            });
        if let Some(user) = self.url.split(',').find_map(|server| split_user(server).1) {
            options = match user.split_once(':') {
                Some((user, password)) => options.user_and_password(user.into(), password.into()),
                None => options.token(user.into()),
            };
        }
        if let Some(file) = &self.ca_file {
            options = options.add_root_certificates(file.clone());
        }
        if let Some(file) = &self.credentials_file {
            options = options.credentials_file(file).await.map_err(|error| {
                BusError::Unavailable(format!("credentials file {}: {error}", file.display()))
            })?;
        }
        Ok(options)
    }
}

/// What the client last said about its connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) up: bool,
    /// Number of changes, so that going down and up at once is seen as a change.
    pub(super) changes: u64,
}

fn note(connection: &watch::Sender<Connection>, condition: &Condition, event: &Event) {
    match event {
        Event::Connected => {
            condition.connected();
            changed(connection, true);
        }
        Event::Disconnected | Event::Closed => changed(connection, false),
        Event::ServerError(error) => {
            tracing::warn!(%error, "NATS server error");
            condition.server_said(error);
        }
        Event::ClientError(error) => {
            tracing::debug!(%error, "NATS client error");
            condition.not_reached(error.to_string());
        }
        other => tracing::debug!(event = %other, "NATS client"),
    }
}

fn changed(connection: &watch::Sender<Connection>, up: bool) {
    tracing::info!(up, "NATS connection");
    connection.send_modify(|connection| {
        connection.up = up;
        connection.changes += 1;
    });
}

/// Doubles from 50 ms to 5 s, then between half and all of it, so that many clients do not return at once.
pub(super) fn backoff(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(16);
    let full = BACKOFF_FIRST
        .saturating_mul(1 << doublings)
        .min(BACKOFF_MAX);
    full.mul_f64(rand::rng().random_range(0.5..1.0))
}

/// The address without the part before `@`, and that part.
fn split_user(server: &str) -> (String, Option<&str>) {
    let server = server.trim();
    let (scheme, rest) = server.split_once("://").unwrap_or(("nats", server));
    match rest.rsplit_once('@') {
        Some((user, host)) => (format!("{scheme}://{host}"), Some(user)),
        None => (format!("{scheme}://{rest}"), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_shown() {
        let settings = NatsSettings {
            url: "tls://portico:s3cret@one:4222, tls://portico:s3cret@two".into(),
            ..NatsSettings::default()
        };
        let shown = format!("{settings:?} {:?}", settings.servers().unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("tls://one:4222,tls://two"), "{shown}");
        assert_eq!(
            split_user("tls://portico:s3cret@one").1,
            Some("portico:s3cret")
        );
    }

    #[test]
    fn a_bad_address_is_refused_without_repeating_it() {
        let settings = NatsSettings {
            url: "nats://u:s3cret@[bad".into(),
            ..NatsSettings::default()
        };
        let error = settings.servers().unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }

    #[test]
    fn backoff_grows_to_its_limit() {
        for attempt in [0, 1, 2, 8, 100, usize::MAX] {
            let wait = backoff(attempt);
            assert!(
                wait >= BACKOFF_FIRST / 2 && wait <= BACKOFF_MAX,
                "{attempt}: {wait:?}"
            );
        }
        assert!(backoff(100) > backoff(1));
    }
}
