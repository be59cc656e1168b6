//! The notification service: tells people by e-mail what happened to their access.
//!
//! | where | what |
//! |---|---|
//! | [`delivery`] | the aggregate: one message to one person, its attempts and outcome |
//! | [`policies`] | public events of access-request and registration -> deliveries |
//! | [`worker`] | sends what is due, retries, sends again after a crash |
//! | `compose`, `lookups` | people and access requests looked up at sending; the letter |
//! | [`templates`] | `web/mail` and the operator's theme folder |
//! | `smtp`, `redact` | the mail server, and what it says without addresses |
//! | [`grpc`] | history, resend, preview, test message; for admins |
//! | `measures` | what waits here, for `/metrics` |
//! | [`views`], [`publish`] | the list of deliveries; `mail_sent` and `mail_failed` |
//!
//! An address is never stored and never logged: it is asked for at every sending and forgotten.

pub mod compose;
pub mod delivery;
pub mod grpc;
pub mod lookups;
mod measures;
pub mod policies;
pub mod publish;
pub mod redact;
pub mod smtp;
pub mod templates;
pub mod views;
pub mod worker;

use std::sync::Arc;

use portico_eventstore::{EventStore, Migrations, worker::run};
use portico_proto::notification::v1::notification_service_server::NotificationServiceServer;
use portico_runtime::{Deps, Service, ServiceName, StartError};
use tonic::service::Routes;

use crate::{
    compose::Composer,
    grpc::Grpc,
    lookups::Lookups,
    policies::Policies,
    publish::Publisher,
    smtp::{Mailer, Sender},
    templates::Templates,
    views::Deliveries,
    worker::Worker,
};

/// The tables of this service.
pub static MIGRATIONS: Migrations =
    portico_eventstore::migrations!["migrations/1001_deliveries.sql"];

/// Opens the store and makes the service ready to run.
///
/// # Errors
/// The database cannot be opened, or `smtp.url` or `mail.from` cannot be used. Mistakes in the operator's
/// templates are logged and no error.
pub async fn start(deps: &Deps) -> Result<Service, StartError> {
    let name = ServiceName::Notification;
    let database = deps.database(name, &[&MIGRATIONS]).await?;
    let store = deps.store(database, vec![Arc::new(Deliveries)]).await?;
    let config = &deps.config;
    let sender = Sender::new(&config.mail).map_err(StartError::Other)?;
    let mailer = Mailer::new(&config.mail, sender.clone()).map_err(StartError::Other)?;
    let templates = Templates::new(
        config.theme_dir.clone(),
        sender.name(),
        config.public_url.as_str(),
    );
    for mistake in templates.check() {
        tracing::error!(%mistake, "a mail template of the theme folder has a mistake; the built-in ones are used");
    }
    measures::observe(deps, store.database());
    let lookups = Lookups::new(deps);
    let grpc = Grpc {
        store: store.clone(),
        templates: templates.clone(),
        sender: sender.clone(),
        clock: deps.clock.clone(),
        sends: mailer.is_some(),
    };
    let policies = Policies {
        store: store.clone(),
        lookups: lookups.clone(),
    };
    let composer = Composer {
        lookups,
        templates,
        sender,
        clock: deps.clock.clone(),
    };
    let routes = Routes::new(NotificationServiceServer::new(grpc));
    let service = Service::new(name, deps, store.clone(), routes)
        .publishes(deps, Publisher)
        .consumes(deps, policies::SPEC, policies);
    Ok(match mailer {
        Some(mailer) => service.works(run(worker(deps, &store, composer, mailer))),
        None => {
            tracing::warn!("no mail server is configured: mails are kept and not sent");
            service
        }
    })
}

fn worker(deps: &Deps, store: &EventStore, composer: Composer, mailer: Mailer) -> Worker {
    Worker {
        jobs: deps.jobs(store),
        composer,
        mailer,
        retry: deps.config.retry,
    }
}
