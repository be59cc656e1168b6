//! Accounts: users, sessions, API tokens.
//!
//! * `user`: the aggregate. Its events hold references into the vault, never a name, an address or a password.
//! * `grpc`: `portico.accounts.v1.AccountsService`.
//! * `signup`: how somebody becomes a user, the first admin too.
//! * `people`: names and addresses in the vault; whose an address is, by its blind index.
//! * `sessions`, `token`, `password`, `limits`: signing in and staying signed in. Sessions are rows, not
//!   events.
//! * `views`: users and API tokens, with their queries.
//! * `publish`: private events as public ones.
//! * `housekeeping`: forgets sessions that ended, finishes erasures that were interrupted.

mod email;
mod grpc;
mod housekeeping;
mod limits;
mod password;
mod people;
mod publish;
mod sessions;
mod signup;
mod token;
pub mod user;
mod views;

use std::sync::Arc;

use portico_eventstore::Migrations;
use portico_proto::accounts::v1::accounts_service_server::AccountsServiceServer;
use portico_runtime::{Deps, Service, ServiceName, StartError};
use tonic::service::Routes;

/// The tables of this service.
pub static MIGRATIONS: Migrations = portico_eventstore::migrations![
    "migrations/1001_accounts.sql",
    "migrations/1002_sign_in_failures.sql",
];

/// Opens the store, makes the first admin where there is nobody yet, and gives the service back ready to run.
///
/// # Errors
/// The database cannot be opened, the vault's key-encryption key is missing, or the first admin could not be
/// made.
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
    let accounts = grpc::Accounts::new(deps, store.clone(), people.clone());
    accounts.signup.first_admin(deps).await?;
    let routes = Routes::new(AccountsServiceServer::new(accounts));
    Ok(
        Service::new(ServiceName::Accounts, deps, store.clone(), routes)
            .publishes(deps, publish::PublicEvents)
            .works(housekeeping::run(deps.clone(), store, people)),
    )
}
