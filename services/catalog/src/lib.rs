//! The catalogue: products that open APIs, plans that limit them, and who may see them.
//!
//! * [`product`], [`plan`]: the rules of each, pure.
//! * `grpc`: request -> command; who may call what. `input` reads fields, `client_types` asks the registration
//!   service about client types, `access_requests` the access-request service whether a product is in use.
//! * `import`: products and plans of the policies that `gateways` finds at a gateway.
//! * `views`: what is read. `views::scopes` keeps the one rule that spans streams: a scope belongs to one
//!   product or plan. It is kept in the transaction of the append, and says there why.
//! * `publish`: private -> public events.
//!
//! It consumes no public events, so there are no policies.

mod access_requests;
mod client_types;
mod gateways;
mod grpc;
mod import;
mod input;
pub mod plan;
pub mod product;
mod publish;
mod views;
mod wire;

use std::sync::Arc;

use portico_eventstore::Migrations;
use portico_proto::catalog::v1::catalog_service_server::CatalogServiceServer;
use portico_runtime::{Deps, Service, ServiceName, StartError};
use tonic::service::Routes;

/// The tables of the views.
pub static MIGRATIONS: Migrations = portico_eventstore::migrations!["migrations/1001_catalog.sql"];

/// Opens the store and gives the service, ready to run.
///
/// # Errors
/// When its database cannot be opened.
pub async fn start(deps: &Deps) -> Result<Service, StartError> {
    let name = ServiceName::Catalog;
    let database = deps.database(name, &[&MIGRATIONS]).await?;
    let store = deps.store(database, vec![Arc::new(views::Catalog)]).await?;
    let grpc = grpc::Grpc {
        deps: deps.clone(),
        store: store.clone(),
    };
    let routes = Routes::new(CatalogServiceServer::new(grpc));
    Ok(Service::new(name, deps, store, routes).publishes(deps, publish::Translation))
}
