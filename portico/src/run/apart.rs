//! Some parts of Portico in this process; the others are reached over the network.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    middleware,
    response::{IntoResponse as _, Response},
};
use portico_bus::{SharedBus, memory::MemoryBus};
use portico_proto::FILE_DESCRIPTOR_SET;
use portico_runtime::{
    Channels, Clock, Config, Deps, Remote, SERVICE, Service, ServiceChannel, ServiceName,
    authorization, deadline,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tower::ServiceExt as _;

use super::{
    app::{Running, serve_edge},
    listeners::{EdgeListeners, Server, client_tls, listen, mutual_tls},
    parts::Parts,
    probes, wiring,
};

/// Starts the parts, in a configuration that [`Config::check_separate`] has checked. Ready when it returns.
///
/// # Errors
/// In words for the person at the terminal.
pub async fn start(
    parts: &Parts,
    config: Config,
    clock: Clock,
    shutdown: CancellationToken,
) -> Result<Running, String> {
    let own = &parts.services;
    // All addresses first: who is told that a port is taken should not have to wait for it.
    let (calls, probes) = (config.services.listen, config.services.probe_listen);
    let inside = match own.is_empty() {
        true => None,
        false => Some((listen(calls)?, listen(probes)?)),
    };
    let outside = match parts.edge {
        true => Some(EdgeListeners::bind(config.listen, config.grpc.listen)?),
        false => None,
    };
    // The edge alone has no events.
    let bus: SharedBus = match own.is_empty() {
        true => Arc::new(MemoryBus::new()),
        false => wiring::bus(&config, &parts.bus_name()).await?,
    };
    let mut deps = wiring::deps(config, clock, bus)?;
    deps.shutdown = shutdown;
    deps.channels = channels(&deps, own)?;
    let mut services = wiring::services(&deps, own).await?;
    wiring::run(&mut services, &deps).await;
    if let Some((calls, probes)) = inside {
        serve_at(&deps, &services, calls, probes)?;
    }
    if let Some(listeners) = outside {
        serve_edge(&deps, listeners).await?;
    }
    Ok(Running::new(deps, None))
}

/// Listen addresses of services that run as processes of their own.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// For gRPC.
    pub calls: SocketAddr,
    /// For `/healthz`, `/readyz` and `/metrics`.
    pub probes: SocketAddr,
}

/// Listens for calls to services of this process, and for probes, until shutdown.
///
/// # Errors
/// In words for the person at the terminal.
pub fn serve_services(deps: &Deps, services: &[Service]) -> Result<Addresses, String> {
    let config = &deps.config.services;
    let calls = listen(config.listen)?;
    let probes = listen(config.probe_listen)?;
    serve_at(deps, services, calls, probes)
}

fn serve_at(
    deps: &Deps,
    services: &[Service],
    calls: TcpListener,
    probes: TcpListener,
) -> Result<Addresses, String> {
    let address = |listener: &TcpListener| listener.local_addr().map_err(|error| error.to_string());
    let addresses = Addresses {
        calls: address(&calls)?,
        probes: address(&probes)?,
    };
    let config = &deps.config.services;
    if config.tls.is_none() && !config.listen.ip().is_loopback() {
        tracing::warn!(
            "services.tls_cert_file is not set: calls between services are not encrypted"
        );
    }
    let tls = config.tls.as_ref().map(mutual_tls).transpose()?;
    let mut router = router(services).layer(middleware::from_fn_with_state(
        deps.clock.clone(),
        deadline::keep,
    ));
    if tls.is_some() {
        router = router.layer(middleware::from_fn(authorization::certified));
    }
    let server = Server::of(deps);
    server.clone().for_services().serve(calls, tls, router);
    server.serve(probes, None, probes::router(deps, services));
    tracing::info!(calls = %addresses.calls, probes = %addresses.probes, "services listen");
    Ok(addresses)
}

/// To services of this process directly, to the others over the network.
fn channels(deps: &Deps, own: &[ServiceName]) -> Result<Channels, String> {
    let services = &deps.config.services;
    let tls = services.tls.as_ref().map(client_tls).transpose()?;
    Ok(Channels::with(|name| match own.contains(&name) {
        true => ServiceChannel::local(name),
        false => {
            let remote = Remote::new(name, services.addresses(name), tls.clone());
            ServiceChannel::remote(remote)
        }
    }))
}

/// The methods of all services of this process, with reflection.
fn router(services: &[Service]) -> Router {
    let routers = services
        .iter()
        .map(|service| (service.name, service.router.clone()));
    let routers: HashMap<ServiceName, Router> = routers.collect();
    let mut router = Router::new();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    match reflection.build_v1() {
        Ok(reflection) => {
            let path = format!("/{}/{{*method}}", tonic_service_name(&reflection));
            router = router.route_service(&path, reflection);
        }
        Err(error) => tracing::error!(%error, "gRPC reflection is off"),
    }
    router.fallback(dispatch).with_state(Arc::new(routers))
}

fn tonic_service_name<S: tonic::server::NamedService>(_: &S) -> &'static str {
    S::NAME
}

/// To the service that is named in the metadata, or has the method. What every service has, such as health, goes to
/// the only one where none is named.
async fn dispatch(
    State(routers): State<Arc<HashMap<ServiceName, Router>>>,
    request: Request,
) -> Response {
    let named = request.headers().get(SERVICE);
    let named = named
        .and_then(|name| name.to_str().ok())
        .and_then(ServiceName::named);
    let name = named.or_else(|| ServiceName::of_path(request.uri().path()));
    let router = match name {
        Some(name) => routers.get(&name),
        None => routers.values().next(),
    };
    match router.cloned() {
        Some(router) => router.oneshot(request).await.into_response(),
        None => {
            let status = Status::unimplemented("this process does not run that service");
            status.into_http::<axum::body::Body>().into_response()
        }
    }
}
