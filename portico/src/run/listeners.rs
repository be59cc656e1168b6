//! Listening: the edge's two addresses, and the one at which services call each other.

use std::{net::SocketAddr, path::Path};

use axum::{Router, serve::ListenerExt as _};
use portico_runtime::{
    Deps,
    config::{MutualTls, Tls},
};
use tokio::net::TcpListener;
use tonic::{
    service::Routes,
    transport::{
        Certificate, ClientTlsConfig, Identity, Server, ServerTlsConfig, server::TcpIncoming,
    },
};

/// Takes an address.
///
/// # Errors
/// In words for the person at the terminal.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// The edge's two addresses, taken.
pub struct EdgeListeners {
    pub(crate) rest: TcpListener,
    pub(crate) grpc: TcpListener,
}

impl EdgeListeners {
    /// Takes both addresses; with port 0 a free one.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub async fn bind(rest: SocketAddr, grpc: SocketAddr) -> Result<Self, String> {
        Ok(Self {
            rest: listen(rest).await?,
            grpc: listen(grpc).await?,
        })
    }

    /// Where they are, REST's and gRPC's.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub fn addresses(&self) -> Result<(SocketAddr, SocketAddr), String> {
        let address =
            |listener: &TcpListener| listener.local_addr().map_err(|error| error.to_string());
        Ok((address(&self.rest)?, address(&self.grpc)?))
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn identity(files: &Tls) -> Result<Identity, String> {
    Ok(Identity::from_pem(
        read(&files.cert_file)?,
        read(&files.key_file)?,
    ))
}

/// TLS of a server that anybody may call.
pub(crate) fn public_tls(files: &Tls) -> Result<ServerTlsConfig, String> {
    Ok(ServerTlsConfig::new().identity(identity(files)?))
}

/// TLS of a server that only services may call, which prove who they are.
pub(crate) fn mutual_tls(files: &MutualTls) -> Result<ServerTlsConfig, String> {
    let authority = Certificate::from_pem(read(&files.ca_file)?);
    Ok(ServerTlsConfig::new()
        .identity(identity(&files.own)?)
        .client_ca_root(authority))
}

/// TLS of calls to services.
pub(crate) fn client_tls(files: &MutualTls) -> Result<ClientTlsConfig, String> {
    let authority = Certificate::from_pem(read(&files.ca_file)?);
    Ok(ClientTlsConfig::new()
        .ca_certificate(authority)
        .identity(identity(&files.own)?))
}

/// Serves gRPC until shutdown; then finishes what has begun.
///
/// # Errors
/// The certificate or its key cannot be used.
pub(crate) fn serve_grpc(
    deps: &Deps,
    listener: TcpListener,
    tls: Option<ServerTlsConfig>,
    router: Router,
) -> Result<(), String> {
    let mut server = Server::builder();
    if let Some(tls) = tls {
        server = server.tls_config(tls).map_err(|error| {
            // The message of the outermost error says no more than "transport error".
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            format!(
                "TLS certificate, key or authority: {}",
                cause.unwrap_or_default()
            )
        })?;
    }
    let server = server.add_routes(Routes::from(router));
    let shutdown = deps.shutdown.clone();
    deps.spawn(async move {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        if let Err(error) = server
            .serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned())
            .await
        {
            tracing::error!(%error, "gRPC listener ended");
        }
    });
    Ok(())
}

/// Serves HTTP until shutdown; then finishes what has begun.
pub(crate) fn serve(deps: &Deps, listener: TcpListener, router: Router) {
    // Otherwise an answer of several small writes, as gRPC's are, waits for the client's acknowledgement.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
    });
    let shutdown = deps.shutdown.clone();
    deps.spawn(async move {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let served = axum::serve(listener, service)
            .with_graceful_shutdown(shutdown.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "listener ended");
        }
    });
}
