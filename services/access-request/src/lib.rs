//! Applications, carts and access requests: what developers ask for, and what became of it.
//!
//! * [`access_request`]: what is wanted of access, and the join of what registration and gateway report of it
//! * [`application`], [`cart`]: what asks for access, and what is put aside for checkout
//! * [`requester`]: whether the person who asks has an active account
//! * [`terms`]: products and plans as the catalogue has them, and the newest that is known of each
//! * `approval`: what an approval grants
//! * `neighbours`: questions to catalog and registration
//! * `notes`, `profiles`: free text of people, in the vault
//! * `grpc`: requests from outside, whether an order fits together, the live stream
//! * `policies`: reports of the halves, changes of the catalogue and of accounts, automatic approval
//! * `publish`: what other services learn; `wire`: the words of the contract
//! * `views`: tables, queries, and the rules over several streams

pub mod access_request;
pub mod application;
mod approval;
pub mod cart;
mod grpc;
mod neighbours;
mod notes;
mod policies;
mod profiles;
mod publish;
pub mod requester;
pub mod terms;
mod views;
mod wire;

use std::sync::Arc;

use portico_eventstore::Migrations;
use portico_proto::access::v1::access_service_server::AccessServiceServer;
use portico_runtime::{Deps, Service, ServiceName, StartError};

use approval::{Approvals, Turns};
use grpc::Grpc;
use neighbours::Neighbours;
use notes::Notes;
use policies::{CONSUMER, Policies};
use profiles::Profiles;
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
    let vault = deps.vault(&database);
    let profiles = Profiles::new(vault.clone(), database.pool().clone());
    let digests = vault.index_key("command_digest").await;
    let digests = digests.map_err(|error| StartError::Other(format!("access-request: {error}")))?;
    let notes = Notes::new(vault);
    let store = deps
        .store(
            database,
            vec![Arc::new(Applications), Arc::new(AccessRequests::default())],
        )
        .await?;
    let neighbours = Neighbours::new(deps);
    let approvals = Approvals {
        turns: Turns::new(),
        store: store.clone(),
        neighbours: neighbours.clone(),
    };
    let grpc = Grpc {
        deps: deps.clone(),
        store: store.clone(),
        notes: notes.clone(),
        profiles: profiles.clone(),
        digests,
        neighbours,
        approvals: approvals.clone(),
    };
    let routes = tonic::service::Routes::new(AccessServiceServer::new(grpc));
    let policies = Policies {
        store: store.clone(),
        approvals,
        notes,
        profiles,
    };
    Ok(
        Service::new(ServiceName::AccessRequest, deps, store, routes)
            .publishes(deps, PublicEvents)
            .consumes(deps, CONSUMER, policies),
    )
}
