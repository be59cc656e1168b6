//! Applications, carts and access requests: what developers ask for, and what became of it.
//!
//! * [`application`], [`cart`], [`access_request`]: the deciders
//! * [`redirect_url`], `text`: what people may enter
//! * `checkout`: what fits together; `approval`: what an approval adds
//! * `neighbours`: questions to catalog and registration; `notes`: free text of people, in the vault
//! * `grpc`: requests from outside; `watch`: the live stream
//! * `policies`: reports of the registration service, automatic approval
//! * `publish`: what other services learn
//! * `views`: tables, queries, and the rules over several streams

pub mod access_request;
pub mod application;
mod approval;
pub mod cart;
mod checkout;
mod grpc;
mod neighbours;
mod notes;
mod policies;
mod publish;
pub mod redirect_url;
mod text;
mod views;
mod watch;

use std::sync::Arc;

use portico_eventstore::Migrations;
use portico_proto::access::v1::access_service_server::AccessServiceServer;
use portico_runtime::{Deps, Service, ServiceName, StartError};

use approval::Approvals;
use grpc::Grpc;
use neighbours::Neighbours;
use notes::Notes;
use policies::{CONSUMER, Policies};
use publish::PublicEvents;
use views::{access_requests::AccessRequests, applications::Applications};

/// The tables of this service.
pub static MIGRATIONS: Migrations = portico_eventstore::migrations!["migrations/1001_views.sql"];

/// Opens the store and makes the service; its background work begins with [`Service::run`].
///
/// # Errors
/// The database or its migrations.
pub async fn start(deps: &Deps) -> Result<Service, StartError> {
    let database = deps
        .database(
            ServiceName::AccessRequest,
            &[portico_vault::migrations(), &MIGRATIONS],
        )
        .await?;
    let notes = Notes::new(deps.vault(&database));
    let store = deps
        .store(
            database,
            vec![Arc::new(Applications), Arc::new(AccessRequests)],
        )
        .await?;
    let neighbours = Neighbours::new(deps);
    let approvals = Approvals {
        store: store.clone(),
        neighbours: neighbours.clone(),
    };
    let grpc = Grpc {
        deps: deps.clone(),
        store: store.clone(),
        notes: notes.clone(),
        neighbours,
        approvals: approvals.clone(),
    };
    let routes = tonic::service::Routes::new(AccessServiceServer::new(grpc));
    let policies = Policies {
        store: store.clone(),
        approvals,
        notes,
    };
    Ok(
        Service::new(ServiceName::AccessRequest, deps, store, routes)
            .publishes(deps, PublicEvents)
            .consumes(deps, CONSUMER, policies),
    )
}
