//! The only HTTP client for calls to addresses that people enter: well-known URLs, registration endpoints, gateways.
//!
//! Such an address may be an attack on what only this machine can reach (server-side request forgery, OWASP ASVS 5.0
//! section 1.3.6). So a call goes to public addresses only, and to what the operator lists; the name is resolved by
//! ourselves and the connection pinned to what was checked; redirects are not followed; time and size are bounded.
//! Headers and bodies are never logged.
//!
//! - [`address`]: what is public, the operator's list
//! - [`port`]: which ports may be called
//! - [`certificates`]: certificate authorities beside the system's
//! - [`error`]: errors and refusals
//! - `measured`: span and duration of a call
//! - [`sanitized`]: what the other side says, in words that may be kept and shown; [`KnownSecrets`]: what must not be in
//!   them

pub mod address;
pub mod certificates;
mod client;
pub mod error;
mod measured;
pub mod port;
mod reading;
mod secrets;
mod words;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use portico_vault::Secret;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;
use url::{Host, Url};

pub use address::AllowList;
use client::{ClientKey, Clients};
pub use error::{OutgoingError, Refusal};
use measured::Measured;
pub use measured::Peer;
pub use port::PortList;
pub use secrets::KnownSecrets;
pub use words::sanitized;

/// Limits, and what is allowed beside public addresses.
#[derive(Debug, Clone)]
pub struct OutgoingSettings {
    /// Private addresses that may be called.
    pub allow: Arc<AllowList>,
    /// Which ports may be called.
    pub ports: PortList,
    /// For name, connection and TLS together.
    pub connect_timeout: Duration,
    /// For all of a call, when it says no other.
    pub timeout: Duration,
    /// Most bytes of an answer's body.
    pub max_body: usize,
    /// An HTTP proxy for all calls but those to the allow list. It resolves
    /// names itself, so it must refuse private addresses itself.
    pub proxy: Option<Secret>,
}

impl Default for OutgoingSettings {
    /// Nothing private, 5 s to connect, 20 s in all, 1 MiB.
    fn default() -> Self {
        Self {
            allow: Arc::default(),
            ports: PortList::default(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
            max_body: 1 << 20,
            proxy: None,
        }
    }
}

/// Trusted authorities of a call over TLS. The default trusts what the system trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TlsSettings {
    /// Accepts any certificate. For trials only.
    pub skip_verify: bool,
    /// Certificate authorities beside the system's, in PEM.
    pub ca_pem: Option<String>,
}

/// A call to make. `Debug` shows method and host only.
#[derive(Clone)]
pub struct OutgoingRequest {
    /// HTTP method.
    pub method: Method,
    /// Where to; `https` or `http`.
    pub url: Url,
    /// Headers beside those that HTTP itself needs.
    pub headers: HeaderMap,
    /// May be empty.
    pub body: Bytes,
    /// For all of this call, instead of the setting.
    pub timeout: Option<Duration>,
    /// Trusted authorities.
    pub tls: TlsSettings,
    /// Purpose, for traces and metrics.
    pub step: &'static str,
}

impl OutgoingRequest {
    /// A call without headers and body.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: None,
            tls: TlsSettings::default(),
            step: "call",
        }
    }
}

impl fmt::Debug for OutgoingRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "OutgoingRequest({} {})",
            self.method,
            self.url.origin().ascii_serialization()
        )
    }
}

/// An answer, whatever its status; redirects are answers too. `Debug` shows status and size only.
#[derive(Clone)]
pub struct OutgoingResponse {
    /// HTTP status, also where it is an error.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl fmt::Debug for OutgoingResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "OutgoingResponse({}, {} bytes)",
            self.status,
            self.body.len()
        )
    }
}

/// Makes outgoing calls. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Outgoing {
    inner: Arc<Inner>,
    peer: Peer,
}

#[derive(Debug)]
struct Inner {
    settings: OutgoingSettings,
    clients: Clients,
}

impl Outgoing {
    /// With these settings. Connections are made when they are needed.
    #[must_use]
    pub fn new(settings: OutgoingSettings) -> Self {
        Self {
            inner: Arc::new(Inner {
                settings,
                clients: Clients::default(),
            }),
            peer: Peer::Other,
        }
    }

    /// The same client with another target in traces and metrics.
    #[must_use]
    pub fn to(&self, peer: Peer) -> Self {
        Self {
            peer,
            ..self.clone()
        }
    }

    /// Makes a call. Any status is an answer, not an error.
    ///
    /// # Errors
    /// [`OutgoingError`]; after one that [`OutgoingError::never_sent`] does not
    /// vouch for, the other side may have acted.
    pub async fn send(&self, request: OutgoingRequest) -> Result<OutgoingResponse, OutgoingError> {
        let timeout = request.timeout.unwrap_or(self.inner.settings.timeout);
        let measured = Measured::begin(self.peer, &request);
        let exchange = self.exchange(request, timeout);
        let done = exchange.instrument(measured.span.clone()).await;
        measured.end(&done);
        done
    }

    /// Checks a URL without resolving its name, for immediate feedback while it is typed in.
    ///
    /// # Errors
    /// Which rule forbids it.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        self.route(url).map(|_| ())
    }

    async fn exchange(
        &self,
        request: OutgoingRequest,
        timeout: Duration,
    ) -> Result<OutgoingResponse, OutgoingError> {
        let deadline = Instant::now() + timeout;
        let late = |_| OutgoingError::Timeout(timeout);
        let head = timeout_at(deadline, self.head(request)).await;
        let response = head.map_err(late)??;
        let status = response.status().as_u16();
        let body = timeout_at(deadline, read(response, self.inner.settings.max_body)).await;
        body.map_err(late).flatten().map_err(|cause| {
            let cause = Box::new(cause);
            OutgoingError::Unread { status, cause }
        })
    }

    async fn head(&self, request: OutgoingRequest) -> Result<reqwest::Response, OutgoingError> {
        let settings = &self.inner.settings;
        let route = self.route(&request.url)?;
        if settings.proxy.is_some() && !route.direct {
            self.check_before_proxy(&request.url, route.port).await?;
        }
        let key = ClientKey {
            tls: (request.url.scheme() == "https").then_some(request.tls),
            port: settings.allow.has_ports().then_some(route.port),
            direct: route.direct,
        };
        let client = self.inner.clients.get(key, settings)?;
        client
            .request(request.method, request.url)
            .headers(request.headers)
            .body(request.body)
            .send()
            .await
            .map_err(OutgoingError::classify)
    }

    fn route(&self, url: &Url) -> Result<Route, Refusal> {
        let settings = &self.inner.settings;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(Refusal::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials);
        }
        // Both schemes have a host and a known port.
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Refusal::Scheme);
        };
        if !settings.ports.contains(port) && !settings.allow.names_port(&host, port) {
            return Err(Refusal::Port(port));
        }
        let listed_address = |address: IpAddr| {
            if settings.allow.has_address(address, port) {
                Ok(true)
            } else if address::is_public(address) {
                Ok(false)
            } else {
                Err(Refusal::NotPublic {
                    host: address.to_string(),
                })
            }
        };
        // A literal address never gets to the resolver, so it is checked here.
        let direct = match host {
            Host::Domain(name) => settings.allow.has_name(name, port),
            Host::Ipv4(address) => listed_address(address.into())?,
            Host::Ipv6(address) => listed_address(address.into())?,
        };
        Ok(Route { port, direct })
    }

    /// The proxy resolves names itself. What we can see to be private is refused
    /// here; what we cannot resolve is the proxy's to judge.
    async fn check_before_proxy(&self, url: &Url, port: u16) -> Result<(), Refusal> {
        let Some(Host::Domain(name)) = url.host() else {
            return Ok(());
        };
        match client::resolve(&self.inner.settings.allow, name, port).await {
            Err(error) => match error.downcast::<Refusal>() {
                Ok(refusal) => Err(*refusal),
                Err(_unresolved) => Ok(()),
            },
            Ok(_) => Ok(()),
        }
    }
}

struct Route {
    port: u16,
    /// The operator listed it: past the proxy.
    direct: bool,
}

/// Reads an answer, and stops as soon as it is too large.
async fn read(
    mut response: reqwest::Response,
    limit: usize,
) -> Result<OutgoingResponse, OutgoingError> {
    let announced = response.content_length().unwrap_or_default();
    if usize::try_from(announced).map_or(true, |announced| announced > limit) {
        return Err(OutgoingError::TooLarge { limit });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(OutgoingError::classify)? {
        if body.len() + chunk.len() > limit {
            return Err(OutgoingError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(OutgoingResponse {
        status: response.status(),
        headers: response.headers().clone(),
        body: body.into(),
    })
}
