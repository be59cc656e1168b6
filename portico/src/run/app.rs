//! The whole of Portico in one process, listening.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use portico_bus::SharedBus;
use portico_runtime::{
    Clock, Config, DataFolder, Deps, ServiceName,
    health::{Reference, watch_clock},
    settings,
};
use tokio_util::sync::CancellationToken;

use super::{
    certificates,
    listeners::{EdgeListeners, Server},
    wiring,
};
use crate::edge;

/// A running Portico.
pub struct App {
    /// Where the portal, its REST API and the event stream are.
    pub rest_address: SocketAddr,
    /// Where the public gRPC API is.
    pub grpc_address: SocketAddr,
    running: Running,
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
        let bus = wiring::bus(&config, &ServiceName::ALL).await?;
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
        // All addresses first: who is told that a port is taken should not have to wait for it.
        let listeners = EdgeListeners::bind(&config)?;
        Self::start_at(listeners, bus, config, clock, shutdown).await
    }

    /// As [`App::start_on`], at addresses that are taken already; those of the configuration must be theirs.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub async fn start_at(
        listeners: EdgeListeners,
        bus: SharedBus,
        config: Config,
        clock: Clock,
        shutdown: CancellationToken,
    ) -> Result<Self, String> {
        let folder = wiring::data_folder(&config)?;
        let mut deps = wiring::deps(config, clock, Arc::clone(&bus))?;
        deps.shutdown = shutdown;
        let mut services = wiring::services(&deps, &ServiceName::ALL).await?;
        wiring::run(&mut services, &deps).await;
        settings::observe(&deps.config, &ServiceName::ALL, true);
        if let Some(service) = services.first() {
            watch_clock(&deps, Reference::Database(service.store.database().clone()));
        }
        certificates::watch_files(&deps);
        let (rest_address, grpc_address) = serve_edge(&deps, listeners).await?;
        Ok(Self {
            rest_address,
            grpc_address,
            running: Running::new(deps, folder),
        })
    }

    /// As [`Running::drain`].
    pub async fn drain(self, deadline: Duration) {
        self.running.drain(deadline).await;
    }

    /// Hands over the running parts, for the shutdown.
    #[must_use]
    pub fn running(self) -> Running {
        self.running
    }
}

/// What runs in this process, to be ended in order.
pub struct Running {
    deps: Deps,
    _folder: Option<DataFolder>,
}

impl Running {
    pub(crate) fn new(deps: Deps, folder: Option<DataFolder>) -> Self {
        Self {
            deps,
            _folder: folder,
        }
    }

    /// Readiness says no; then waits, so that load balancers turn away.
    pub async fn announce_end(&self, notice: Duration) {
        self.deps.announce_end();
        self.deps.clock.sleep(notice).await;
    }

    /// Takes no more connections, ends streams, waits for what has begun, at most for the deadline; what is left is
    /// taken up by other replicas, or at the next start.
    pub async fn drain(self, deadline: Duration) {
        self.deps.announce_end();
        self.deps.shutdown.cancel();
        if tokio::time::timeout(deadline, self.deps.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("not everything finished in time; it goes on at the next start");
        }
        self.deps.bus.close().await;
    }
}

/// The edge at its addresses; gives REST's and gRPC's.
pub(crate) async fn serve_edge(
    deps: &Deps,
    listeners: EdgeListeners,
) -> Result<(SocketAddr, SocketAddr), String> {
    for warning in deps.config.warnings() {
        tracing::warn!("{warning}");
    }
    let addresses = listeners.addresses()?;
    let EdgeListeners { rest, grpc, health } = listeners;
    let tls = certificates::of_grpc(&deps.config)?;
    if let Some(tls) = &tls {
        certificates::keep(deps, tls.clone());
    }
    let server = Server::of(deps);
    server.serve(rest, None, edge::router(deps).await);
    server.serve(grpc, tls, edge::grpc_router(deps));
    if let Some(health) = health {
        server.serve(health, None, edge::health_routes(deps));
    }
    let (rest, grpc) = addresses;
    tracing::info!(%rest, %grpc, "the edge listens");
    Ok(addresses)
}
