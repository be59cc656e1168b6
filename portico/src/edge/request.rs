//! A request from outside, as far as it concerns everybody: who sends it, and what goes with the calls that it causes.
//!
//! - [`auth`]: who sends it; [`csrf`]: whether it is forged; [`refusals`]: whether they may
//! - [`host`]: whom it is for; [`encoded`]: whether its text can be read; [`media`]: what its body is made of

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, OriginalUri};
use http::{HeaderMap, HeaderValue, Uri, request::Parts};
use ipnet::IpNet;
use portico_proto::{
    Error, access::v1::access_service_client::AccessServiceClient,
    accounts::v1::accounts_service_client::AccountsServiceClient,
    catalog::v1::catalog_service_client::CatalogServiceClient,
    gateway::v1::gateway_service_client::GatewayServiceClient,
    notification::v1::notification_service_client::NotificationServiceClient,
    registration::v1::registration_service_client::RegistrationServiceClient,
};
use portico_runtime::{
    Caller, IDEMPOTENCY_KEY, REQUEST_ID, ServiceChannel, ServiceName, TRACEPARENT, TRACESTATE,
    address, identity,
};
use portico_vault::Secret;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};

use self::auth::{Credential, Identity};
use super::{
    Edge,
    problem::{Failure, Result},
};

pub mod auth;
pub mod csrf;
pub(super) mod encoded;
pub(super) mod host;
pub(super) mod media;
pub(super) mod refusals;

/// What every handler takes first. Extracting it authenticates, and refuses forged requests.
pub struct RequestContext {
    edge: Edge,
    credential: Credential,
    identity: Option<Identity>,
    metadata: MetadataMap,
    remote: Option<IpAddr>,
    visit: Option<Secret>,
    form_key: Option<String>,
    uri: Uri,
}

impl FromRequestParts<Edge> for RequestContext {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self> {
        let credential = edge.auth.credential(&parts.headers)?;
        if matches!(credential, Credential::Cookie(_)) {
            edge.csrf
                .require_same_origin(&parts.method, &parts.headers)?;
        }
        let identity = edge.auth.identify(&credential).await?;
        Self::new(parts, edge, credential, identity)
    }
}

/// As [`RequestContext`], for signing in: whoever was signed in before does not matter, and a program that keeps cookies
/// may do it again. A request that says that it comes from another site is refused.
pub struct SignIn(pub RequestContext);

impl FromRequestParts<Edge> for SignIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self> {
        edge.csrf.refuse_cross_origin(&parts.headers)?;
        let credential = edge.auth.credential(&parts.headers)?;
        RequestContext::new(parts, edge, credential, None).map(Self)
    }
}

impl RequestContext {
    /// For a posted form, whose token must be verified then. Beside that token it need not say where it comes
    /// from, as a program does not; what says that it comes from another site is refused.
    ///
    /// # Errors
    /// `csrf_failed`, `bearer_invalid`, or accounts is not available.
    pub(super) async fn of_form(parts: &Parts, edge: &Edge) -> Result<Self> {
        edge.csrf.refuse_cross_origin(&parts.headers)?;
        let credential = edge.auth.credential(&parts.headers)?;
        let identity = edge.auth.identify(&credential).await?;
        Self::new(parts, edge, credential, identity)
    }

    fn new(
        parts: &Parts,
        edge: &Edge,
        credential: Credential,
        identity: Option<Identity>,
    ) -> Result<Self> {
        let mut metadata = forwarded(&parts.headers)?;
        if let Some(identity) = &identity {
            metadata.insert(identity::HEADER, identity.signed.clone());
        }
        let remote = remote_address(
            &parts.extensions,
            &parts.headers,
            &edge.deps.config.trusted_proxies,
        );
        Ok(Self {
            visit: edge.auth.cookies().visit(&parts.headers),
            form_key: None,
            uri: whole_uri(parts),
            edge: edge.clone(),
            credential,
            identity,
            metadata,
            remote,
        })
    }

    /// The portal's inside.
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// Who sends it; anonymous where nobody is signed in.
    pub fn caller(&self) -> Caller {
        self.identity
            .as_ref()
            .map_or(Caller::Anonymous, |identity| identity.caller.clone())
    }

    /// What it brought to say so.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The token of the session or the API token, where somebody is signed in.
    pub fn session(&self) -> Option<&Secret> {
        self.identity.as_ref().and(self.credential.token())
    }

    /// The value of the visit cookie, which forms of visitors are tied to.
    pub fn visit(&self) -> Option<&Secret> {
        self.visit.as_ref()
    }

    /// URI of the request.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The address that it came from, behind the proxies that we trust; empty where it is not known.
    pub fn remote_address(&self) -> String {
        self.remote
            .map(|address| address.to_string())
            .unwrap_or_default()
    }

    /// What marks the browser that it came from, where there is such a mark.
    pub fn device(&self) -> String {
        let visit = self.visit.as_ref();
        visit
            .map(|visit| visit.expose().to_owned())
            .unwrap_or_default()
    }

    /// Makes the one-use key of a posted form the `Idempotency-Key` of the calls that it causes, so that a form that is
    /// sent twice creates one thing.
    ///
    /// # Errors
    /// `idempotency_key_invalid`.
    pub(super) fn set_form_key(&mut self, key: String) -> Result<()> {
        let value = idempotency_key(key.as_bytes())?;
        self.metadata.insert(IDEMPOTENCY_KEY, value);
        self.form_key = Some(key);
        Ok(())
    }

    /// The one-use key of the posted form, where it had one.
    pub(super) fn form_key(&self) -> Option<&str> {
        self.form_key.as_deref()
    }

    /// A call to a service in the sender's name.
    pub fn request<T>(&self, message: T) -> tonic::Request<T> {
        tonic::Request::from_parts(self.metadata.clone(), http::Extensions::new(), message)
    }

    fn to(&self, name: ServiceName) -> ServiceChannel {
        self.edge.deps.channels.to(name)
    }

    /// Products and plans.
    pub fn catalog(&self) -> CatalogServiceClient<ServiceChannel> {
        CatalogServiceClient::new(self.to(ServiceName::Catalog))
    }

    /// Applications, carts and access requests.
    pub fn access(&self) -> AccessServiceClient<ServiceChannel> {
        AccessServiceClient::new(self.to(ServiceName::AccessRequest))
    }

    /// Identity providers, client types and OAuth clients.
    pub fn registration(&self) -> RegistrationServiceClient<ServiceChannel> {
        RegistrationServiceClient::new(self.to(ServiceName::Registration))
    }

    /// Gateways, scope mappings and API keys.
    pub fn gateway(&self) -> GatewayServiceClient<ServiceChannel> {
        GatewayServiceClient::new(self.to(ServiceName::Gateway))
    }

    /// E-mail.
    pub fn notification(&self) -> NotificationServiceClient<ServiceChannel> {
        NotificationServiceClient::new(self.to(ServiceName::Notification))
    }

    /// Users, sessions and API tokens.
    pub fn accounts(&self) -> AccountsServiceClient<ServiceChannel> {
        AccountsServiceClient::new(self.to(ServiceName::Accounts))
    }
}

/// The address as it was asked for; routers that are nested see only the rest of it.
fn whole_uri(parts: &Parts) -> Uri {
    match parts.extensions.get::<OriginalUri>() {
        Some(original) => original.0.clone(),
        None => parts.uri.clone(),
    }
}

/// What of a request's headers goes on to the services.
fn forwarded(headers: &HeaderMap) -> Result<MetadataMap> {
    let mut metadata = MetadataMap::new();
    for name in [REQUEST_ID, TRACEPARENT, TRACESTATE] {
        if let Some(value) = headers.get(name).and_then(|value| ascii(value.as_bytes())) {
            metadata.insert(name, value);
        }
    }
    if let Some(given) = only_line(headers, "Idempotency-Key")? {
        metadata.insert(IDEMPOTENCY_KEY, idempotency_key(given.as_bytes())?);
    }
    Ok(metadata)
}

/// The only line of a header that must not be repeated (RFC 9110 section 5.3).
///
/// # Errors
/// `header_duplicate`.
pub(super) fn only_line<'a>(
    headers: &'a HeaderMap,
    name: &str,
) -> std::result::Result<Option<&'a HeaderValue>, Error> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (_, Some(_)) => Err(Error::field(
            name,
            "header_duplicate",
            format!("The header `{name}` must be sent only once."),
        )),
        (line, None) => Ok(line),
    }
}

fn idempotency_key(given: &[u8]) -> std::result::Result<MetadataValue<Ascii>, Error> {
    ascii(given).ok_or_else(|| {
        Error::field(
            "Idempotency-Key",
            "idempotency_key_invalid",
            "Idempotency-Key must have 1 to 255 visible ASCII characters.",
        )
    })
}

fn ascii(bytes: &[u8]) -> Option<MetadataValue<Ascii>> {
    MetadataValue::try_from(bytes)
        .ok()
        .filter(|_| !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic))
}

/// Where a request came from; `None` where the server does not tell.
pub(super) fn remote_address(
    extensions: &http::Extensions,
    headers: &HeaderMap,
    proxies: &[IpNet],
) -> Option<IpAddr> {
    let plain = || {
        extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0)
    };
    let tls = || {
        extensions
            .get::<TlsConnectInfo<TcpConnectInfo>>()?
            .get_ref()
            .remote_addr()
    };
    let peer = plain().or_else(tls)?.ip();
    if is_unknown_proxy(peer, headers, proxies) {
        static ONCE: std::sync::Once = std::sync::Once::new();
        // Anybody can send the header, so one line is enough.
        ONCE.call_once(|| {
            tracing::warn!(
                "a request had X-Forwarded-For and came from no network of http.trusted_proxies; if it was a proxy of \
                 yours, set its network there: until then limits take everybody behind it for one"
            );
        });
    }
    Some(client_address(peer, headers, proxies))
}

/// Whether somebody says for whom they ask, and is not believed.
fn is_unknown_proxy(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    headers.contains_key("x-forwarded-for") && !proxies.iter().any(|net| net.contains(&peer))
}

/// The address of the client: from the right of `X-Forwarded-For`, the first that is not one of our proxies.
/// What stands left of it, anybody can write.
fn client_address(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let trusted = |address: &IpAddr| proxies.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    let lines: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !trusted(&client) {
            break;
        }
        let Some(address) = address::parse(hop.trim()) else {
            break;
        };
        client = address.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_proxies_are_believed() {
        let proxies: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        for (peer, lines, client) in [
            ("203.0.113.9", vec!["198.51.100.1"], "203.0.113.9"),
            ("10.0.0.1", vec!["198.51.100.1"], "198.51.100.1"),
            (
                "10.0.0.1",
                vec!["6.6.6.6, 198.51.100.1, 10.0.0.2"],
                "198.51.100.1",
            ),
            ("10.0.0.1", vec!["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
            (
                "10.0.0.1",
                vec!["198.51.100.1:5678, 10.0.0.2:80"],
                "198.51.100.1",
            ),
            ("10.0.0.1", vec!["[2001:db8::1]:80"], "2001:db8::1"),
            ("10.0.0.1", vec!["[2001:db8::1], 10.0.0.2"], "2001:db8::1"),
            ("10.0.0.1", vec!["nonsense"], "10.0.0.1"),
            ("::ffff:10.0.0.1", vec!["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            let peer = peer.parse().unwrap();
            let found = client_address(peer, &headers, &proxies);
            assert_eq!(found.to_string(), client, "{peer} {lines:?}");
            let unknown = is_unknown_proxy(peer, &headers, &proxies);
            assert_eq!(unknown, peer.to_string() == "203.0.113.9", "{peer}");
        }
    }
}
