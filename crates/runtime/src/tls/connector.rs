//! Connections to a replica of a service, each with the certificates of its time.

use std::{
    io,
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt as _};
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower::Service;

use super::{Certificates, HTTP_2, tls_reason};
use crate::process::Seldom;

/// Of one address; it is tried again with every call.
static SAID: Seldom = Seldom::every(Duration::from_secs(10));

/// Shorter than the channel waits for a connection: its own time-out does not say that nothing was sent yet, and so keeps a
/// call from being tried at another replica.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Connects to one address, where the server must prove that it is the named service.
#[derive(Clone)]
pub(crate) struct Connector {
    address: SocketAddr,
    /// As it is in the server's certificate.
    service: &'static str,
    certificates: Certificates,
}

impl Connector {
    pub(crate) fn new(
        address: SocketAddr,
        service: &'static str,
        certificates: Certificates,
    ) -> Self {
        Self {
            address,
            service,
            certificates,
        }
    }

    async fn connect(self) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(self.service).map_err(io::Error::other)?;
        let connector = TlsConnector::from(self.certificates.client());
        let stream = connector.connect(name, stream).await.inspect_err(|error| {
            self.report(error);
        })?;
        // RFC 9113 section 3.3; otherwise the server is something else.
        match stream.get_ref().1.alpn_protocol() == Some(HTTP_2) {
            true => Ok(TokioIo::new(stream)),
            false => Err(io::Error::other("HTTP/2 was not negotiated")),
        }
    }

    fn report(&self, error: &io::Error) {
        let reason = tls_reason(error).unwrap_or("connection_lost");
        let Self {
            address, service, ..
        } = self;
        if let Some(unsaid) = SAID.say(&format!("{address} {reason}")) {
            tracing::warn!(service, %address, reason, %error, unsaid, "TLS with {service} failed: {reason}");
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connected = tokio::time::timeout(PATIENCE, self.clone().connect());
        let late = || io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
        async move { connected.await.unwrap_or_else(|_| Err(late())) }.boxed()
    }
}
