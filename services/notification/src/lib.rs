//! The notification service: tells people by e-mail what happened to their access.
//!
//! | where | what |
//! |---|---|
//! | [`delivery`] | the aggregate: one message to one person, its attempts and outcome |
//! | [`grpc`] | for admins: history, resend, preview, test message |
//! | [`policies`] | public events of other services -> deliveries |
//! | [`publish`] | `mail_sent` and `mail_failed` |
//! | [`views`] | the list of deliveries, what is due, the gauges of `/metrics` |
//! | [`worker`] | sends what is due, retries, resumes after a crash |
//! | [`compose`], [`neighbours`] | delivery -> letter; the people and the access request, asked of other services |
//! | [`templates`] | renders `web/mail` and the operator's theme folder |
//! | [`smtp`], [`redact`] | the mail server; its messages without personal data |
//!
//! E-mail addresses are never stored and never logged: they are looked up for every attempt.

pub mod compose;
pub mod delivery;
pub mod grpc;
pub mod neighbours;
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
    neighbours::Lookups,
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

/// Opens the store and returns the service, ready to run.
///
/// # Errors
/// The database cannot be opened, or `smtp.url` or `mail.from` is invalid. Mistakes in the operator's templates are only
/// logged.
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
    views::measures::observe(deps, store.database());
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
        .consumes(deps, policies::SPEC, policies)
        .expires([views::expiry(deps.config.retention.deliveries)]);
    Ok(match mailer {
        Some(mailer) => service.works(run(worker(deps, &store, composer, mailer))),
        None => {
            tracing::warn!("no mail server is configured: mails are queued but not sent");
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
