//! The catalogue: products that open APIs, plans that limit them, and who may see them.
//!
//! | where | what |
//! |---|---|
//! | [`product`], [`plan`] | the aggregates: what an admin may do with each, pure |
//! | `import` | what a policy found at a gateway becomes: a product or a plan, pure |
//! | `grpc`, `input`, `wire` | request -> command, who may call what; validation of fields; state -> message |
//! | `neighbours` | questions to other services: do the client types exist, is it in use, what is at the gateway |
//! | `views` | what is read. `views::scopes` keeps the one rule that spans streams, in the transaction of the append: a scope belongs to one product or plan |
//! | `publish` | private events -> public events |
//!
//! It consumes no public events, so it has no policies, and calls nothing outside, so it has no worker.

mod grpc;
mod import;
mod input;
mod neighbours;
pub mod plan;
pub mod product;
mod publish;
mod views;
mod wire;

use std::sync::Arc;

use portico_proto::catalog::v1::catalog_service_server::CatalogServiceServer;
use portico_runtime::{Deps, Service, ServiceName, StartError};
use sqlx::migrate::Migrator;
use tonic::service::Routes;

/// The tables of the views.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Opens the store and returns the service, ready to run.
///
/// # Errors
/// The database cannot be opened.
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
