//! Puts the services of a process together: bus, channels, keys, stores.

use std::sync::Arc;

use futures::future::try_join_all;
use portico_bus::{
    SharedBus,
    memory::MemoryBus,
    nats::{NatsBus, NatsSettings},
};
use portico_eventstore::sqlx::migrate::Migrator;
use portico_runtime::{
    Channels, Clock, Config, DataFolder, Deps, IdentityKey, Outgoing, Service, ServiceName,
    StartError,
};
use portico_vault::{Kek, KekRing};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Every service's store, opened, without any background work.
pub struct Opened {
    /// What the services were given.
    pub deps: Deps,
    /// In the order in which they were named.
    pub services: Vec<Service>,
    /// No other process may use it meanwhile.
    _folder: Option<DataFolder>,
}

/// Opens every service's store and puts the services in their places, without any background work.
///
/// # Errors
/// In words for the person at the terminal.
pub async fn open(config: Config, clock: Clock) -> Result<Opened, String> {
    open_only(config, clock, &ServiceName::ALL).await
}

/// As [`open`], of some services only: each may have a key-encryption key of its own.
///
/// # Errors
/// In words for the person at the terminal.
pub async fn open_only(
    config: Config,
    clock: Clock,
    names: &[ServiceName],
) -> Result<Opened, String> {
    let folder = data_folder(&config)?;
    let bus = bus(&config, &ServiceName::ALL).await?;
    let deps = deps(config, clock, bus)?;
    let services = services(&deps, names).await?;
    Ok(Opened {
        deps,
        services,
        _folder: folder,
    })
}

/// Takes the data folder for this process, where the services' stores are in it.
///
/// # Errors
/// Another process has it.
pub fn data_folder(config: &Config) -> Result<Option<DataFolder>, String> {
    match config.database_url() {
        Some(_) => Ok(None),
        None => DataFolder::take(config.data_dir()).map(Some),
    }
}

/// The configured key-encryption key, or the one in the data folder.
fn kek(config: &Config) -> Result<KekRing, String> {
    let folder = config.data_dir();
    if config.kek.is_none() {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("data folder {}: {error}", folder.display()))?;
    }
    let (kek, generated) = config.kek_ring().map_err(|error| error.to_string())?;
    if generated {
        tracing::warn!(
            folder = %folder.display(),
            "a key-encryption key was made in the data folder; keep a copy apart from the data"
        );
    }
    Ok(kek)
}

/// What every service is given.
///
/// # Errors
/// In words for the person at the terminal.
pub fn deps(config: Config, clock: Clock, bus: SharedBus) -> Result<Deps, String> {
    let kek = kek(&config)?;
    Ok(Deps {
        identity: identity(&config, &kek, &clock),
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

/// What a process is called at the bus: `catalog`, or `accounts-catalog`, its services by name; `portico` where it runs all.
#[must_use]
pub fn bus_name(services: &[ServiceName]) -> String {
    if services == ServiceName::ALL {
        return "portico".to_owned();
    }
    let mut names: Vec<&str> = services.iter().map(|name| name.as_str()).collect();
    names.sort_unstable();
    names.join("-")
}

/// The key of identities is one of its own, or follows from the key-encryption key; and so are those that are accepted
/// beside it.
fn identity(config: &Config, kek: &KekRing, clock: &Clock) -> IdentityKey {
    let (key, others) = match &config.services.identity_key {
        Some(key) => (key, &config.services.identity_key_previous),
        None => (kek.active(), &config.kek_previous),
    };
    let derived = |key: &Kek| key.derive("identity");
    let others: Vec<[u8; 32]> = others.iter().map(derived).collect();
    IdentityKey::new(&derived(key), clock.clone())
        .accepting(&others)
        .tolerating(config.clock_tolerance)
}

/// Where a service's readiness stores a message: a subject that it may publish to, and that no event has.
#[must_use]
pub fn probe_subject(service: ServiceName) -> String {
    format!("portico.{}.probe", service.subject_word())
}

/// NATS where it is configured, otherwise the memory bus; for a process that runs these services.
///
/// # Errors
/// In words for the person at the terminal.
pub async fn bus(config: &Config, services: &[ServiceName]) -> Result<SharedBus, String> {
    let Some(nats) = &config.nats else {
        return Ok(Arc::new(MemoryBus::new()));
    };
    let probing = services.first().copied().unwrap_or(ServiceName::Catalog);
    let settings = NatsSettings {
        url: nats.url.expose().to_owned(),
        replicas: nats.replicas,
        max_age: nats.max_age,
        max_bytes: nats.max_bytes,
        credentials_file: nats.credentials_file.clone(),
        ca_file: nats.ca_file.clone(),
        client_name: bus_name(services),
        probe_subject: probe_subject(probing),
        ..NatsSettings::default()
    };
    let bus = NatsBus::connect(settings)
        .await
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(bus))
}

/// The migrations of a service, beside the event store's.
pub fn migrations(service: ServiceName) -> [&'static Migrator; 2] {
    let own = match service {
        ServiceName::Catalog => &portico_catalog::MIGRATIONS,
        ServiceName::AccessRequest => &portico_access_request::MIGRATIONS,
        ServiceName::Registration => &portico_registration::MIGRATIONS,
        ServiceName::Gateway => &portico_gateway::MIGRATIONS,
        ServiceName::Notification => &portico_notification::MIGRATIONS,
        ServiceName::Accounts => &portico_accounts::MIGRATIONS,
    };
    [portico_vault::migrations(), own]
}

/// Opens services at once and provides them to each other.
pub(crate) async fn services(deps: &Deps, names: &[ServiceName]) -> Result<Vec<Service>, String> {
    let services = try_join_all(names.iter().map(|name| start(*name, deps)))
        .await
        .map_err(|error| error.to_string())?;
    for service in &services {
        let failed = |error: String| format!("{}: {error}", service.name.as_str());
        deps.vault(service.store.database())
            .check()
            .await
            .map_err(|error| failed(error.to_string()))?;
        deps.channels.provide(service.name, service.router.clone());
    }
    Ok(services)
}

async fn start(name: ServiceName, deps: &Deps) -> Result<Service, StartError> {
    match name {
        ServiceName::Catalog => portico_catalog::start(deps).await,
        ServiceName::AccessRequest => portico_access_request::start(deps).await,
        ServiceName::Registration => portico_registration::start(deps).await,
        ServiceName::Gateway => portico_gateway::start(deps).await,
        ServiceName::Notification => portico_notification::start(deps).await,
        ServiceName::Accounts => portico_accounts::start(deps).await,
    }
}

/// Declares what the services consume, then begins their background work.
pub(crate) async fn run(services: &mut [Service], deps: &Deps) {
    for service in services.iter() {
        if let Err(error) = service.declare(deps).await {
            // The bus remembers what was declared and makes it when it is back.
            tracing::warn!(%error, "the bus is away; commands are taken, events wait in the stores");
        }
    }
    for service in services {
        service.run(deps);
    }
}
