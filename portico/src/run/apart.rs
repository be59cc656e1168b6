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
    health::{Reference, watch_clock},
    settings,
    tls::Certificates,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tower::ServiceExt as _;

use super::{
    app::{Running, serve_edge},
    certificates::{self, check_names},
    listeners::{EdgeListeners, Server, listen},
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
    if let Some(tls) = &config.services.tls {
        check_names(tls, own)?;
    }
    // All addresses first: who is told that a port is taken should not have to wait for it.
    let calls = match own.is_empty() {
        true => None,
        false => Some(listen(config.services.listen)?),
    };
    let (outside, probes) = match parts.edge {
        true => (Some(EdgeListeners::bind(&config)?), None),
        false => (None, Some(listen(config.probes(false))?)),
    };
    // The edge alone has no events.
    let bus: SharedBus = match own.is_empty() {
        true => Arc::new(MemoryBus::new()),
        false => wiring::bus(&config, own).await?,
    };
    let mut deps = wiring::deps(config, clock, bus)?;
    deps.shutdown = shutdown;
    let tls = certificates::of_services(&deps.config)?;
    if let Some(tls) = &tls {
        certificates::keep(&deps, tls.clone());
    }
    certificates::watch_files(&deps);
    deps.channels = channels(&deps, own, tls.as_ref());
    let mut services = wiring::services(&deps, own).await?;
    wiring::run(&mut services, &deps).await;
    settings::observe(&deps.config, own, parts.edge);
    let reference = match services.first() {
        Some(service) => Reference::Database(service.store.database().clone()),
        None => Reference::Services(deps.channels.clone()),
    };
    watch_clock(&deps, reference);
    if let Some(calls) = calls {
        serve_at(&deps, &services, tls, calls)?;
    }
    if let Some(probes) = probes {
        Server::of(&deps).serve(probes, None, probes::router(&deps, &services));
    }
    if let Some(listeners) = outside {
        serve_edge(&deps, listeners).await?;
    }
    Ok(Running::new(deps, None))
}

/// Listens for calls to services of this process until shutdown, and gives the address.
///
/// # Errors
/// In words for the person at the terminal.
pub fn serve_services(deps: &Deps, services: &[Service]) -> Result<SocketAddr, String> {
    let calls = listen(deps.config.services.listen)?;
    let tls = certificates::of_services(&deps.config)?;
    serve_at(deps, services, tls, calls)
}

fn serve_at(
    deps: &Deps,
    services: &[Service],
    tls: Option<Certificates>,
    calls: TcpListener,
) -> Result<SocketAddr, String> {
    let address = calls.local_addr().map_err(|error| error.to_string())?;
    let config = &deps.config.services;
    if config.tls.is_none() && !config.listen.ip().is_loopback() {
        tracing::warn!(
            "services.tls_cert_file is not set: calls between services are not encrypted"
        );
    }
    let mut router = router(services).layer(middleware::from_fn_with_state(
        deps.clock.clone(),
        deadline::keep,
    ));
    if tls.is_some() {
        router = router.layer(middleware::from_fn(authorization::certified));
    }
    Server::of(deps).for_services().serve(calls, tls, router);
    tracing::info!(%address, "services listen");
    Ok(address)
}

/// To services of this process directly, to the others over the network.
fn channels(deps: &Deps, own: &[ServiceName], tls: Option<&Certificates>) -> Channels {
    Channels::with(|name| match own.contains(&name) {
        true => ServiceChannel::local(name),
        false => {
            let addresses = deps.config.services.addresses(name);
            ServiceChannel::remote(Remote::new(name, addresses, tls.cloned()))
        }
    })
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
