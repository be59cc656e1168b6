//! The whole of Portico in one process, listening.

use std::{net::SocketAddr, path::Path, time::Duration};

use axum::serve::ListenerExt as _;
use portico_bus::SharedBus;
use portico_runtime::{Clock, Config, Deps, config::Tls};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

use crate::{edge, wiring};

/// A running Portico.
pub struct App {
    /// Where the portal, its REST API and the event stream are.
    pub rest_address: SocketAddr,
    /// Where the public gRPC API is.
    pub grpc_address: SocketAddr,
    deps: Deps,
}

impl App {
    /// Opens the stores, starts the services and listens. Ready when it returns; ends with `shutdown`.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub async fn start(
        config: Config,
        clock: Clock,
        shutdown: CancellationToken,
    ) -> Result<Self, String> {
        let bus = wiring::bus(&config).await?;
        Self::start_on(bus, config, clock, shutdown).await
    }

    /// As [`App::start`], on a given bus; for tests with a bus that has faults.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub async fn start_on(
        bus: SharedBus,
        config: Config,
        clock: Clock,
        shutdown: CancellationToken,
    ) -> Result<Self, String> {
        // Both addresses first: who is told that a port is taken should not have to wait for it.
        let rest = listen(config.listen).await?;
        let grpc = listen(config.grpc.listen).await?;
        let mut deps = wiring::deps(config, clock, bus)?;
        deps.shutdown = shutdown;
        let mut services = wiring::services(&deps).await?;
        for service in &services {
            if let Err(error) = service.declare(&deps).await {
                // The bus remembers what was declared and makes it when it is back.
                tracing::warn!(%error, "the bus is away; commands are taken, events wait in the stores");
            }
        }
        for service in &mut services {
            service.run(&deps);
        }
        let app = Self {
            rest_address: rest.local_addr().map_err(|error| error.to_string())?,
            grpc_address: grpc.local_addr().map_err(|error| error.to_string())?,
            deps: deps.clone(),
        };
        serve(&deps, rest, edge::router(&deps).await);
        let tls = deps.config.grpc.tls.as_ref().map(server_tls).transpose()?;
        match tls {
            Some(tls) => serve_grpc_over_tls(&deps, grpc, tls)?,
            None => serve(&deps, grpc, edge::grpc_router(&deps)),
        }
        Ok(app)
    }

    /// Waits for what has begun, at most for the deadline.
    pub async fn drain(self, deadline: Duration) {
        self.deps.shutdown.cancel();
        self.deps.tasks.close();
        if tokio::time::timeout(deadline, self.deps.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("not everything finished in time; it goes on at the next start");
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))
}

fn server_tls(files: &Tls) -> Result<ServerTlsConfig, String> {
    let read =
        |file: &Path| std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()));
    let identity = Identity::from_pem(read(&files.cert_file)?, read(&files.key_file)?);
    Ok(ServerTlsConfig::new().identity(identity))
}

fn serve_grpc_over_tls(
    deps: &Deps,
    listener: TcpListener,
    tls: ServerTlsConfig,
) -> Result<(), String> {
    let server = Server::builder()
        .tls_config(tls)
        .map_err(|error| format!("grpc.tls_cert_file and grpc.tls_key_file: {error}"))?
        .add_routes(Routes::from(edge::grpc_router(deps)));
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

fn serve(deps: &Deps, listener: TcpListener, router: axum::Router) {
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
