//! The registration service: identity providers, client types, OAuth clients, gateways.
//!
//! | module | what |
//! |---|---|
//! | [`identity_provider`] | aggregate: an identity provider, its verified endpoints, where its tokens are |
//! | [`client_type`] | aggregate: what kind of OAuth client developers may choose at a provider |
//! | [`oauth_client`] | aggregate: one application's OAuth client at one provider, and what is to be done next for it |
//! | `gateway` | aggregate: an API gateway and how it is reached |
//! | `mapping` | keeps gateways in step with what is granted |
//! | [`providers`] | what is said to identity providers over the network, a driver for each kind |
//! | [`gateways`] | what is said to API gateways over the network, a driver for each kind |
//! | [`granted`] | products under plans, as they are granted and as they change |
//! | [`moment`] | what time it is, also after a clock that was ahead |
//! | `application` | aggregate: the newest that is known of an application |
//! | `catalogue` | aggregate: the newest that is known of a product or a plan |
//! | `work` | what both workers have in common |
//! | `worker` | does what is to be done for OAuth clients |
//! | `key_order` | aggregate: the API keys of one access request, for products without OAuth clients |
//! | `key_worker` | does what is to be done for API keys |
//! | `measures` | what waits here, for `/metrics` |
//! | `spool` | answers of providers, kept before they are understood |
//! | `conformance` | what a provider can do, found out with a client that lives for a moment |
//! | `policies` | what the access-request service says, and what comes of it |
//! | `publish` | private events as public ones |
//! | `grpc` | requests from outside, a file for each subject |
//! | `views` | tables that follow the log, and their queries |

mod application;
mod catalogue;
pub mod client_type;
mod conformance;
mod gateway;
pub mod gateways;
pub mod granted;
mod grpc;
pub mod identity_provider;
mod key_order;
mod key_worker;
mod mapping;
mod measures;
pub mod moment;
pub mod oauth_client;
mod policies;
pub mod providers;
mod publish;
mod spool;
mod text;
mod views;
mod work;
mod worker;

use std::sync::Arc;

use portico_eventstore::{Migrations, Projection};
use portico_proto::registration::v1::registration_service_server::RegistrationServiceServer;
use portico_runtime::{Deps, Service, ServiceName, StartError};
use tonic::service::Routes;

use crate::grpc::Grpc;
use crate::key_worker::KeyWorker;
use crate::policies::Policies;
use crate::publish::Publisher;
use crate::work::Work as _;

/// The tables of this service.
pub static MIGRATIONS: Migrations = portico_eventstore::migrations![
    "migrations/1001_providers.sql",
    "migrations/1002_oauth_clients.sql",
    "migrations/1003_gateways.sql",
    "migrations/1005_identity_provider_settings.sql",
    "migrations/1020_client_ids.sql",
    "migrations/1030_orphans.sql",
    "migrations/1031_rotation.sql",
    "migrations/1040_api_keys.sql",
    "migrations/1050_parked_api_keys.sql",
];

/// Opens the service's store and makes it ready to run.
///
/// # Errors
/// The database cannot be opened, or a migration fails.
pub async fn start(deps: &Deps) -> Result<Service, StartError> {
    let name = ServiceName::Registration;
    let migrations = [portico_vault::migrations(), &MIGRATIONS];
    let database = deps.database(name, &migrations).await?;
    let vault = deps.vault(&database);
    let store = deps.store(database, projections()).await?;
    let grpc = Grpc::new(deps, &store, &vault);
    let worker = grpc.worker.clone();
    let keys = grpc.mapper.clone();
    let api_keys = KeyWorker::new(deps, &store, &vault, &grpc.mapper);
    measures::observe(deps, store.database());
    let routes = Routes::new(RegistrationServiceServer::new(grpc));
    let policies = Policies {
        store: store.clone(),
    };
    Ok(Service::new(name, deps, store, routes)
        .publishes(deps, Publisher)
        .consumes(deps, policies::CONSUMER, policies)
        .works(worker.run())
        .works(api_keys.run())
        .works(keys.watch_keys()))
}

fn projections() -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(views::providers::Providers),
        Arc::new(views::gateways::Gateways),
        Arc::new(views::oauth_clients::OauthClients),
        Arc::new(views::key_orders::KeyOrders),
    ]
}
