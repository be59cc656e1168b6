//! A service: what it is given at its start ([`Deps`]), and what it gives back ([`Service`]).
//!
//! - [`health`]: whether the process is alive and ready
//! - [`messages`]: public events, written and read
//! - [`grpc_methods`](crate::grpc_methods): the gRPC methods of one; `operations`: those that all have
//! - `sealed`: what an append writes into the vault

pub mod health;
pub mod messages;
mod methods;
mod operations;
mod sealed;

use std::{future::Future, sync::Arc};

use axum::{Router, middleware};
use futures::future::BoxFuture;
use portico_bus::{ConsumerSpec, SharedBus};
use portico_eventstore::{
    Aggregate, Database, DatabaseError, EventStore, Lease, Projection, StoreError,
    consumer::{Consumer, Policy},
    relay::{Publish, Relay},
    retention::{Expiry, Pruner},
    sqlx::migrate::Migrator,
    worker::Jobs,
};
use portico_proto::operations::v1::operations_service_server::OperationsServiceServer;
use portico_vault::{KekRing, Vault, VaultError};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;
use uuid::Uuid;

pub use self::sealed::seal_in_append;
use self::{health::ServiceHealth, operations::Operations};
use crate::{
    Channels, Clock, Config, IdentityKey, Outgoing, ServiceName,
    call::{authorization, identity},
    config::Migrate,
    metrics,
    telemetry::{self, Answering},
};

/// Given to every service at its start. Cheap to clone.
#[derive(Clone)]
pub struct Deps {
    /// Validated configuration.
    pub config: Arc<Config>,
    /// Time and new ids.
    pub clock: Clock,
    /// Public events.
    pub bus: SharedBus,
    /// Other services.
    pub channels: Channels,
    /// Signs and verifies identities.
    pub identity: IdentityKey,
    /// Encrypts the vault's data keys.
    pub kek: KekRing,
    /// Calls to addresses that people enter.
    pub outgoing: Outgoing,
    /// Unique for this process; owner of its leases.
    pub process: Uuid,
    /// Background work of all services in this process. Closed when the process is about to end.
    pub tasks: TaskTracker,
    /// Cancelled when the process is to end.
    pub shutdown: CancellationToken,
}

/// Why a service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its database could not be opened.
    #[error("{service}: {error}")]
    Database {
        /// Name of the service.
        service: &'static str,
        /// Error of the event store.
        error: DatabaseError,
    },
    /// Its event store did not start.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus refused the declaration.
    #[error(transparent)]
    Bus(#[from] portico_bus::BusError),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

/// Why a worker stopped; nothing of it is the outside's fault, and the work is taken up again.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The log could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A secret could not be read or kept.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A view could not be read.
    #[error("query: {0}")]
    Query(#[from] sqlx::Error),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl Deps {
    /// Opens a service's own database, with a vault in it: `<data>/<service>.db`, or a schema of the configured
    /// PostgreSQL database. Runs the migrations, unless the configuration says that somebody else does.
    pub async fn database(
        &self,
        service: ServiceName,
        migrations: &[&Migrator],
    ) -> Result<Database, StartError> {
        let name = service.as_str();
        let all: Vec<&Migrator> = [portico_vault::migrations()]
            .into_iter()
            .chain(migrations.iter().copied())
            .collect();
        let url = self.config.database_of(service);
        let pool = self.config.database_pool;
        match self.config.migrate {
            Migrate::Auto => Database::open_with(url.expose(), name, &all, pool).await,
            Migrate::Never => Database::open_as_it_is(url.expose(), name, &all, pool).await,
        }
        .map_err(|error| StartError::Database {
            service: name,
            error,
        })
    }

    /// A vault in a service's database.
    pub fn vault(&self, database: &Database) -> Vault {
        Vault::new(database.pool().clone(), self.kek.clone())
    }

    /// Starts the event store of a service.
    pub async fn store(
        &self,
        database: Database,
        projections: Vec<Arc<dyn Projection>>,
    ) -> Result<EventStore, StartError> {
        // Instruments that are made before the provider count nothing.
        metrics::provider();
        // It has locked the data folder.
        Ok(EventStore::start(database.of_one_process(), projections).await?)
    }

    /// Runs work in the background until it ends; it must heed `shutdown`.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Announces the end of the process: it is not ready from now on, work goes on until `shutdown`.
    pub fn announce_end(&self) {
        self.tasks.close();
    }

    /// A lease under this process's name.
    pub fn lease(&self, database: &Database, name: impl Into<String>) -> Lease {
        Lease::new(database.clone(), name, self.process, Lease::TTL)
    }

    /// The streams of an aggregate, for a worker. The longest pause between tries is `retry.max_delay`, and no more than
    /// `work.at_once` are worked on at a time.
    pub fn jobs<A: Aggregate>(&self, store: &EventStore) -> Jobs<A> {
        let longest_pause = self.config.retry.max_delay;
        Jobs::new(
            store,
            &self.clock,
            self.process,
            longest_pause,
            &self.shutdown,
        )
        .at_most(self.config.work_at_once.into())
    }
}

/// A service that has opened its store and is ready to run.
pub struct Service {
    /// Under which it is found.
    pub name: ServiceName,
    /// Its gRPC methods, with the caller verified and the rule of each method kept.
    pub router: Router,
    /// Its log, for `portico replay` and health.
    pub store: EventStore,
    /// Durable consumers that the service starts.
    pub consumers: Vec<ConsumerSpec>,
    /// Tables of it whose rows end.
    pub expiries: Vec<Expiry>,
    /// Begins the background work: relay, consumers, workers. Called after every consumer was declared.
    pub background: Vec<BoxFuture<'static, ()>>,
}

impl Service {
    /// A service from its gRPC routes; those that all services have are added.
    pub fn new(name: ServiceName, deps: &Deps, store: EventStore, routes: Routes) -> Self {
        let health = ServiceHealth::server(name, store.database(), deps);
        let answering = Answering {
            service: name.as_str(),
            clock: deps.clock.clone(),
        };
        let operations = Operations {
            name,
            database: store.database().clone(),
            clock: deps.clock.clone(),
        };
        let router = routes
            .add_service(health)
            .add_service(OperationsServiceServer::new(operations))
            .prepare()
            .into_axum_router()
            .layer(middleware::from_fn(authorization::enforce))
            .layer(middleware::from_fn_with_state(
                deps.identity.clone(),
                identity::verify,
            ))
            .layer(middleware::from_fn_with_state(answering, telemetry::calls));
        Self {
            name,
            router,
            store,
            consumers: Vec::new(),
            expiries: vec![Expiry::kept("vault_value")],
            background: Vec::new(),
        }
    }

    /// Publishes its public events.
    pub fn publishes(mut self, deps: &Deps, publish: impl Publish) -> Self {
        let relay = Relay {
            store: self.store.clone(),
            bus: Arc::clone(&deps.bus),
            publish: Arc::new(publish),
            lease: deps.lease(self.store.database(), Relay::LEASE),
            clock: deps.clock.clone(),
        };
        self.background
            .push(Box::pin(relay.run(deps.shutdown.clone())));
        self
    }

    /// Consumes other services' public events.
    pub fn consumes(mut self, deps: &Deps, spec: ConsumerSpec, policy: impl Policy) -> Self {
        let consumer = Consumer {
            spec: spec.clone(),
            bus: Arc::clone(&deps.bus),
            database: self.store.database().clone(),
            policy: Arc::new(policy),
            clock: deps.clock.clone(),
        };
        self.consumers.push(spec);
        self.background
            .push(Box::pin(consumer.run(deps.shutdown.clone())));
        self
    }

    /// Deletes rows of its tables because of their age.
    pub fn expires(mut self, expiries: impl IntoIterator<Item = Expiry>) -> Self {
        self.expiries.extend(expiries);
        self
    }

    /// Does other work in the background; it must heed `deps.shutdown`.
    pub fn works(mut self, work: impl Future<Output = ()> + Send + 'static) -> Self {
        self.background.push(Box::pin(work));
        self
    }

    /// Declares the consumers. Every service of a process does this before any of them runs.
    pub async fn declare(&self, deps: &Deps) -> Result<(), StartError> {
        Ok(deps.bus.declare(&self.consumers).await?)
    }

    /// Begins the background work.
    pub fn run(&mut self, deps: &Deps) {
        let database = self.store.database();
        metrics::observe(self.name, database, &deps.bus, &self.consumers, &deps.clock);
        let pruner = Pruner {
            database: database.clone(),
            bus: Arc::clone(&deps.bus),
            consumers: self.consumers.clone(),
            expiries: self.expiries.clone(),
            settings: deps.config.retention.store,
            lease: deps.lease(database, Pruner::LEASE),
            clock: deps.clock.clone(),
        };
        deps.spawn(pruner.run(deps.shutdown.clone()));
        for work in self.background.drain(..) {
            deps.spawn(work);
        }
    }
}
