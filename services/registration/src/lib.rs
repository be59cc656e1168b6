//! The registration service: identity providers, client types, OAuth clients; everything said to an identity provider.
//!
//! | module | what |
//! |---|---|
//! | [`identity_provider`] | aggregate: an identity provider, its verified endpoints, where its tokens are |
//! | [`client_type`] | aggregate: what type of OAuth client developers may choose at a provider |
//! | [`oauth_client`] | aggregate: one application's OAuth client at one provider, and what is to be done next for it |
//! | `application` | aggregate: the newest that is known of an application |
//! | `conformance` | aggregate: the last conformance check of a provider |
//! | [`client_metadata`] | what is asked of a provider and what it granted (RFC 7591 section 2) |
//! | `grpc` | requests from outside, a file for each subject |
//! | `wire` | settings and rows as the gRPC API shows them |
//! | `policies` | what other services say, and what comes of it |
//! | `publish` | private events as public ones |
//! | `views` | tables that follow the log, their queries, and the numbers for `/metrics` |
//! | `worker` | does what is to be done at providers |
//! | [`providers`] | what is said to identity providers over the network, a driver for each type |

mod application;
pub mod client_metadata;
pub mod client_type;
mod conformance;
mod grpc;
pub mod identity_provider;
pub mod oauth_client;
mod policies;
pub mod providers;
mod publish;
#[cfg(test)]
mod stored;
mod views;
mod wire;
mod worker;

use std::sync::Arc;

use portico_eventstore::{Migrations, Projection, worker::run};
use portico_proto::registration::v1::registration_service_server::RegistrationServiceServer;
use portico_runtime::{Deps, Service, ServiceName, StartError};
use tonic::service::Routes;

use crate::grpc::Grpc;
use crate::policies::Policies;
use crate::publish::Publisher;

/// The tables of this service.
pub static MIGRATIONS: Migrations =
    portico_eventstore::migrations!["migrations/1001_registration.sql"];

/// Opens the service's store and makes it ready to run.
///
/// # Errors
/// The database cannot be opened, or a migration fails.
pub async fn start(deps: &Deps) -> Result<Service, StartError> {
    let name = ServiceName::Registration;
    let migrations = [portico_vault::migrations(), &*MIGRATIONS];
    let database = deps.database(name, &migrations).await?;
    let vault = deps.vault(&database);
    let store = deps.store(database, projections()).await?;
    let grpc = Grpc::new(deps, &store, &vault);
    let clients = grpc.worker.clone();
    let keys = grpc.worker.clone();
    views::measures::observe(deps, store.database());
    let routes = Routes::new(RegistrationServiceServer::new(grpc));
    let policies = Policies {
        store: store.clone(),
        vault,
    };
    Ok(Service::new(name, deps, store, routes)
        .publishes(deps, Publisher)
        .consumes(deps, policies::CONSUMER, policies)
        .works(run(clients))
        .works(keys.watch_keys()))
}

fn projections() -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(views::providers::Providers),
        Arc::new(views::oauth_clients::OauthClients),
    ]
}
