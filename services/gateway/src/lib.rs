//! The gateway service: everything that is said to an API gateway.
//!
//! | module | what |
//! |---|---|
//! | `gateway` | aggregate: an API gateway and how it is reached |
//! | `entitlement` | aggregate: what one access request is entitled to at gateways, scopes or API keys |
//! | `mapping` | aggregate: what Portico owns at one API of a gateway |
//! | `known` | aggregates: facts published by other services about applications, products, plans, providers and clients |
//! | `item` | a product under a plan, as granted and as the catalogue changes it |
//! | `grpc` | requests from outside, a file for each subject |
//! | `policies` | what other services say, and what comes of it |
//! | `publish` | private events as public ones |
//! | `views` | tables that follow the log, their queries, and the numbers for `/metrics` |
//! | `worker` | brings gateways to what is wanted |
//! | [`gateways`] | drivers: what is said to API gateways over the network |

mod entitlement;
mod gateway;
pub mod gateways;
mod grpc;
mod item;
mod known;
mod mapping;
mod policies;
mod publish;
#[cfg(test)]
mod stored;
mod views;
mod worker;

use std::sync::Arc;

use portico_eventstore::worker::run;
use portico_eventstore::{Migrations, Projection};
use portico_proto::gateway::v1::gateway_service_server::GatewayServiceServer;
use portico_runtime::{Deps, Service, ServiceName, StartError};
use tonic::service::Routes;

use grpc::Grpc;
use policies::Policies;
use publish::Publisher;
use worker::{ProviderWorker, Worker};

/// The tables of this service.
pub static MIGRATIONS: Migrations = portico_eventstore::migrations!["migrations/1001_gateway.sql"];

/// Opens the service's store and makes it ready to run.
///
/// # Errors
/// The database cannot be opened, or a migration fails.
pub async fn start(deps: &Deps) -> Result<Service, StartError> {
    let name = ServiceName::Gateway;
    let migrations = [portico_vault::migrations(), &*MIGRATIONS];
    let database = deps.database(name, &migrations).await?;
    let vault = deps.vault(&database);
    let store = deps.store(database, projections()).await?;
    let grpc = Grpc::new(deps, &store, &vault);
    let worker = Worker::new(deps, &store, &vault, &grpc.mapper);
    let providers = ProviderWorker::new(deps, &store, &grpc.mapper);
    views::measures::observe(deps, store.database());
    let routes = Routes::new(GatewayServiceServer::new(grpc));
    let policies = Policies {
        store: store.clone(),
    };
    Ok(Service::new(name, deps, store, routes)
        .publishes(deps, Publisher)
        .consumes(deps, policies::CONSUMER, policies)
        .works(run(worker))
        .works(run(providers)))
}

fn projections() -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(views::gateways::Gateways),
        Arc::new(views::entitlements::Entitlements),
        Arc::new(views::providers::Providers),
    ]
}
