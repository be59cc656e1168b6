//! Puts the services of one process together: bus, channels, keys, stores.

use std::sync::Arc;

use portico_bus::{
    SharedBus,
    memory::MemoryBus,
    nats::{NatsBus, NatsSettings},
};
use portico_runtime::{Channels, Clock, Config, Deps, IdentityKey, Outgoing, Service};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Opens every service's store and puts the services in their places, without any background work.
///
/// # Errors
/// In words for the person at the terminal.
pub async fn open(config: Config, clock: Clock) -> Result<(Deps, Vec<Service>), String> {
    let bus = bus(&config).await?;
    let deps = deps(config, clock, bus)?;
    let services = services(&deps).await?;
    Ok((deps, services))
}

/// What every service is given.
///
/// # Errors
/// In words for the person at the terminal.
pub fn deps(config: Config, clock: Clock, bus: SharedBus) -> Result<Deps, String> {
    std::fs::create_dir_all(config.data_dir())
        .map_err(|error| format!("data folder {}: {error}", config.data_dir().display()))?;
    let (kek, generated) = config.kek_ring().map_err(|error| error.to_string())?;
    if generated {
        tracing::warn!(
            folder = %config.data_dir().display(),
            "a key-encryption key was made in the data folder; keep a copy apart from the data"
        );
    }
    Ok(Deps {
        identity: IdentityKey::new(&kek.active().derive("identity"), clock.clone()),
        outgoing: Outgoing::new(config.outgoing.clone()),
        config: Arc::new(config),
        process: clock.new_id(),
        clock,
        bus,
        channels: Channels::local(),
        kek,
        tasks: TaskTracker::new(),
        shutdown: CancellationToken::new(),
    })
}

/// NATS where it is configured, otherwise the memory bus.
///
/// # Errors
/// In words for the person at the terminal.
pub async fn bus(config: &Config) -> Result<SharedBus, String> {
    let Some(nats) = &config.nats else {
        return Ok(Arc::new(MemoryBus::new()));
    };
    let settings = NatsSettings {
        url: nats.url.expose().to_owned(),
        replicas: nats.replicas,
        credentials_file: nats.credentials_file.clone(),
        ca_file: nats.ca_file.clone(),
        ..NatsSettings::default()
    };
    let bus = NatsBus::connect(settings)
        .await
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(bus))
}

/// Opens the five services at once and provides them to each other.
pub(crate) async fn services(deps: &Deps) -> Result<Vec<Service>, String> {
    let (catalog, access_request, registration, notification, accounts) = tokio::try_join!(
        portico_catalog::start(deps),
        portico_access_request::start(deps),
        portico_registration::start(deps),
        portico_notification::start(deps),
        portico_accounts::start(deps),
    )
    .map_err(|error| error.to_string())?;
    let services = vec![
        catalog,
        access_request,
        registration,
        notification,
        accounts,
    ];
    for service in &services {
        deps.vault(service.store.database())
            .check()
            .await
            .map_err(|error| format!("{}: {error}", service.name.as_str()))?;
        deps.channels.provide(service.name, service.router.clone());
    }
    Ok(services)
}
