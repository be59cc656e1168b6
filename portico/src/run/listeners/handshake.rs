//! TLS of a connection that was taken.

use std::{net::SocketAddr, time::Duration};

use portico_runtime::{
    Seldom,
    tls::{Certificates, tls_reason},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::server::TlsStream;

/// Whoever reaches the port can cause a line.
static SAID: Seldom = Seldom::every(Duration::from_secs(10));

/// The handshake, with the certificates of now; `None` where it fails or takes longer than this.
pub(super) async fn take(
    certificates: &Certificates,
    stream: TcpStream,
    peer: SocketAddr,
    within: Duration,
) -> Option<TlsStream<TcpStream>> {
    match timeout(within, certificates.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            report(certificates, peer, &error);
            None
        }
        Err(_) => {
            tracing::debug!("TLS handshake not finished in time");
            None
        }
    }
}

fn report(certificates: &Certificates, peer: SocketAddr, error: &std::io::Error) {
    let Some(reason) = tls_reason(error) else {
        // It hung up, as probes do that only connect.
        tracing::debug!(%error, "TLS handshake failed");
        return;
    };
    let role = certificates.role();
    if let Some(unsaid) = SAID.say(&format!("{role} {reason}")) {
        // Where anybody may call, the address is somebody's.
        let peer = certificates.are_mutual().then(|| peer.to_string());
        tracing::warn!(role, peer, reason, %error, unsaid, "TLS handshake failed: {reason}");
    }
}
