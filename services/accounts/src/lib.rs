//! Accounts: users, sessions, API tokens.
//!
//! | where | what |
//! |---|---|
//! | [`user`] | the aggregate. Its events hold references into the vault, never a name, an address or a password |
//! | `grpc` | `portico.accounts.v1.AccountsService`: request -> command, who may call what |
//! | `people` | personal data in the vault; users by the blind index of their e-mail address |
//! | `sign_up` | how somebody becomes a user, the first admin included |
//! | `sign_in` | passwords, limits, tokens, sessions. Sessions are rows, not events |
//! | [`security`] | the security log |
//! | `views` | users and API tokens: the projection and the queries |
//! | `publish` | private events -> public events |
//! | `worker` | housekeeping: interrupted erasures |
//!
//! It consumes no public events, so it has no policies.

mod grpc;
mod people;
mod publish;
pub mod security;
mod sign_in;
mod sign_up;
pub mod user;
mod views;
mod worker;

use std::sync::Arc;

use portico_eventstore::Migrations;
use portico_proto::accounts::v1::accounts_service_server::AccountsServiceServer;
use portico_runtime::{Deps, Service, ServiceName, StartError};
use tonic::service::Routes;

/// The tables of this service.
pub static MIGRATIONS: Migrations = portico_eventstore::migrations![
    "migrations/1001_accounts.sql",
    "migrations/1002_known_places.sql",
];

/// Opens the store, creates the first admin if there are no users yet, and returns the service, ready to run.
///
/// # Errors
/// The database cannot be opened, the vault's key-encryption key is missing, or the first admin could not be
/// created.
pub async fn start(deps: &Deps) -> Result<Service, StartError> {
    let database = deps
        .database(
            ServiceName::Accounts,
            &[portico_vault::migrations(), &MIGRATIONS],
        )
        .await?;
    let vault = deps.vault(&database);
    let store = deps.store(database, vec![Arc::new(views::Users)]).await?;
    let people = people::People::open(vault, store.database().pool().clone())
        .await
        .map_err(|error| StartError::Other(format!("accounts: {error}")))?;
    let log = security::SecurityLog::new(deps, store.clone());
    let accounts = grpc::Accounts::new(deps, store.clone(), people.clone(), log.clone());
    accounts.signup.first_admin(deps).await?;
    let routes = Routes::new(AccountsServiceServer::new(accounts));
    Ok(
        Service::new(ServiceName::Accounts, deps, store.clone(), routes)
            .publishes(deps, publish::PublicEvents)
            .expires(sign_in::sessions::expiries(&deps.config.session))
            .expires(sign_in::limits::expiries(&deps.config.attempts))
            .works(worker::run(deps.clone(), store, people))
            .works(log.run(deps.shutdown.clone())),
    )
}
