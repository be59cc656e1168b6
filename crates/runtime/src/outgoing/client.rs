//! HTTP clients, kept for each TLS setting, and the resolver that pins them to addresses that were checked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Client};

use super::address::{AllowList, is_public};
use super::error::{OutgoingError, Refusal};
use super::{OutgoingSettings, TlsSettings};

/// Most clients kept. Each has a certificate store of its own.
const KEPT: usize = 32;
const IDLE: Duration = Duration::from_secs(60);
const IDLE_PER_HOST: usize = 16;

/// Calls with the same key share a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientKey {
    /// None for plain `http`, which then needs no certificates either.
    pub(super) tls: Option<TlsSettings>,
    /// The port, where an entry of the allow list is for one port: the resolver
    /// is not told the port, so it must know it beforehand.
    pub(super) port: Option<u16>,
    /// Past the proxy.
    pub(super) direct: bool,
}

/// The clients in use, the least recently used first.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<VecDeque<(ClientKey, Client)>>);

impl Clients {
    pub(super) fn get(
        &self,
        key: ClientKey,
        settings: &OutgoingSettings,
    ) -> Result<Client, OutgoingError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(known, _)| *known == key);
        let entry = match found.and_then(|at| kept.remove(at)) {
            Some(entry) => entry,
            None => {
                let client = build(&key, settings)?;
                (key, client)
            }
        };
        let client = entry.1.clone();
        kept.push_back(entry);
        if kept.len() > KEPT {
            kept.pop_front();
        }
        Ok(client)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the client that all others must use"
)]
fn build(key: &ClientKey, settings: &OutgoingSettings) -> Result<Client, OutgoingError> {
    // We use ring everywhere: an earlier installation set the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("portico/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        // Otherwise HTTP_PROXY from the environment would undo the pinning.
        .no_proxy()
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .tcp_keepalive(IDLE)
        .dns_resolver(Pinned {
            allow: settings.allow.clone(),
            port: key.port.unwrap_or_default(),
        });
    match &key.tls {
        None => builder = builder.tls_certs_only([]),
        Some(tls) => {
            builder = builder
                .tls_danger_accept_invalid_certs(tls.skip_verify)
                .tls_certs_merge(certificates(tls)?);
        }
    }
    if let Some(proxy) = settings.proxy.as_ref().filter(|_| !key.direct) {
        let proxy = reqwest::Proxy::all(proxy.expose()).map_err(|_| OutgoingError::Connect {
            reason: "outgoing.proxy is no proxy address".to_owned(),
        })?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| OutgoingError::Tls {
        reason: format!("no usable certificate store: {error}"),
    })
}

fn certificates(tls: &TlsSettings) -> Result<Vec<Certificate>, OutgoingError> {
    let Some(pem) = &tls.ca_pem else {
        return Ok(Vec::new());
    };
    match Certificate::from_pem_bundle(pem.as_bytes()) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(OutgoingError::Tls {
            reason: "the additional certificates are not PEM".to_owned(),
        }),
    }
}

/// Resolves names and hands only addresses on that may be called, so that what was checked is what is connected to.
struct Pinned {
    allow: Arc<AllowList>,
    port: u16,
}

impl Resolve for Pinned {
    fn resolve(&self, name: Name) -> Resolving {
        let (allow, port) = (Arc::clone(&self.allow), self.port);
        Box::pin(async move {
            let addresses = resolve(&allow, name.as_str(), port).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The addresses of a name that may be called.
pub(super) async fn resolve(
    allow: &AllowList,
    name: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    // Port 0 tells the connector to take the one of the URL.
    let resolved = tokio::net::lookup_host((name, 0)).await?;
    let listed = allow.has_name(name, port);
    let addresses: Vec<SocketAddr> = resolved
        .filter(|a| listed || is_public(a.ip()) || allow.has_address(a.ip(), port))
        .collect();
    if addresses.is_empty() {
        return Err(Refusal::NotPublic {
            host: name.to_owned(),
        }
        .into());
    }
    Ok(addresses)
}
