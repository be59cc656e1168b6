//! The replicas of a service: name resolution, round robin, and a pause for those that cannot be reached.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{net::lookup_host, time::Instant};
use tonic::transport::{Channel, Endpoint};
use url::Url;

use super::ServiceName;
use crate::tls::{Certificates, Connector};

/// How often names are looked up again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Timeout of a name lookup and of a connection.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a replica is skipped after a failed connection.
const LEFT_OUT: Duration = Duration::from_secs(1);
/// HTTP/2 keep-alive: a hanging process or a lost machine is detected after both of these.
const PING_EVERY: Duration = Duration::from_secs(5);
const PONG_WITHIN: Duration = Duration::from_secs(3);
/// What a stream may leave unread here. All streams of a connection together may leave as much unread as HTTP/2 lets them:
/// their number bounds it, and one that is not read must not hold up the others.
const STREAM_WINDOW: u32 = 16 << 10;
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// All replicas of one service.
pub(super) struct Replicas {
    service: ServiceName,
    addresses: Vec<Url>,
    tls: Option<Certificates>,
    known: Mutex<Known>,
    looking: tokio::sync::Mutex<()>,
    turn: AtomicUsize,
}

#[derive(Default)]
struct Known {
    replicas: Vec<Replica>,
    looked_at: Option<Instant>,
}

/// One of them. Connects when it is called, and again when the connection is lost.
#[derive(Clone)]
pub(super) struct Replica {
    address: SocketAddr,
    calls: Channel,
    /// On a connection of their own: what a slow reader leaves unread counts against the flow control of all streams of a
    /// connection (RFC 9113 section 5.2.1), and would hold up calls.
    streams: Channel,
    left_out_until: Arc<Mutex<Option<Instant>>>,
}

impl Replica {
    pub(super) fn channel(&self, streams: bool) -> Channel {
        match streams {
            true => self.streams.clone(),
            false => self.calls.clone(),
        }
    }

    /// Skips it for a while: it could not be reached.
    pub(super) fn failed(&self) {
        *self.until() = Some(Instant::now() + LEFT_OUT);
    }

    /// Whether it is not skipped.
    pub(super) fn seems_well(&self) -> bool {
        self.until().is_none_or(|until| until <= Instant::now())
    }

    fn until(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.left_out_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replicas {
    pub(super) fn new(
        service: ServiceName,
        addresses: Vec<Url>,
        tls: Option<Certificates>,
    ) -> Self {
        Self {
            service,
            addresses,
            tls,
            known: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
            turn: AtomicUsize::new(0),
        }
    }

    /// The replicas in the order in which a call should try them: round robin, skipped ones last. Empty where no name
    /// can be resolved.
    pub(super) async fn in_turn(self: &Arc<Self>) -> Vec<Replica> {
        let looked_at = self.known().looked_at;
        match looked_at {
            None => self.look(LOOK_AGAIN).await,
            Some(at) if at.elapsed() > LOOK_AGAIN => {
                let this = Arc::clone(self);
                tokio::spawn(async move { this.look(LOOK_AGAIN).await });
            }
            Some(_) => {}
        }
        let mut replicas = self.known().replicas.clone();
        if !replicas.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % replicas.len();
            replicas.rotate_left(turn);
            replicas.sort_by_key(|replica| !replica.seems_well());
        }
        replicas
    }

    /// Resolves the names, unless that was done within the given time.
    pub(super) async fn look(&self, unless_within: Duration) {
        let _alone = self.looking.lock().await;
        let looked_at = self.known().looked_at;
        if looked_at.is_some_and(|at| at.elapsed() <= unless_within) {
            return;
        }
        let mut found = Vec::new();
        for url in &self.addresses {
            for address in addresses(url).await {
                if !found.iter().any(|(known, _)| *known == address) {
                    found.push((address, url));
                }
            }
        }
        let mut known = self.known();
        known.looked_at = Some(Instant::now());
        // While the name server is unreachable, the last answer stays valid.
        if !found.is_empty() {
            let replicas = found.into_iter().filter_map(|(address, url)| {
                let before = known.replicas.iter().find(|known| known.address == address);
                before.cloned().or_else(|| self.replica(address, url))
            });
            known.replicas = replicas.collect();
        }
    }

    fn replica(&self, address: SocketAddr, url: &Url) -> Option<Replica> {
        // The connector adds TLS, with the certificates of its time; to the transport it looks like a plain connection.
        let origin = format!("{}://{address}", url.scheme()).parse();
        let endpoint = Endpoint::from_shared(format!("http://{address}"));
        let endpoint = match (endpoint, origin) {
            (Ok(endpoint), Ok(origin)) => endpoint.origin(origin),
            (Err(error), _) => return unusable(address, &error),
            (_, Err(error)) => return unusable(address, &error),
        };
        let endpoint = endpoint
            .connect_timeout(PATIENCE)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PONG_WITHIN)
            .keep_alive_while_idle(true);
        let streams = endpoint
            .clone()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        Some(Replica {
            address,
            calls: self.channel(&endpoint, address),
            streams: self.channel(&streams, address),
            left_out_until: Arc::default(),
        })
    }

    fn channel(&self, endpoint: &Endpoint, address: SocketAddr) -> Channel {
        match &self.tls {
            None => endpoint.connect_lazy(),
            Some(tls) => {
                let connector = Connector::new(address, self.service.as_str(), tls.clone());
                endpoint.connect_with_connector_lazy(connector)
            }
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn addresses(url: &Url) -> Vec<SocketAddr> {
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return Vec::new();
    };
    let name = match host {
        url::Host::Ipv4(address) => return vec![(address, port).into()],
        url::Host::Ipv6(address) => return vec![(address, port).into()],
        url::Host::Domain(name) => name,
    };
    match tokio::time::timeout(PATIENCE, lookup_host((name, port))).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => {
            tracing::warn!(name, %error, "the name of a service cannot be looked up");
            Vec::new()
        }
        Err(_) => {
            tracing::warn!(name, "the name of a service was not looked up in time");
            Vec::new()
        }
    }
}

fn unusable(address: SocketAddr, error: &dyn std::fmt::Display) -> Option<Replica> {
    tracing::error!(%address, %error, "a replica cannot be called");
    None
}
