//! Foreign public events become deliveries: one for each fact and recipient.
//!
//! The id of a delivery is derived from the message and the recipient, so however often a message is handled,
//! nobody gets a second mail. A message to several admins appends to several streams; what a crash left out is made up
//! at the redelivery. (A redelivery that finds a new admin tells them too; that is harmless.)

use async_trait::async_trait;
use jiff::Timestamp;
use portico_bus::{ConsumerSpec, Message};
use portico_eventstore::{
    Append, Context, EventStore, InboxEntry, Stream,
    consumer::{Policy, PolicyError},
};
use portico_proto::{
    access::v1::{
        AccessActivated, AccessFailed, AccessRejected, AccessRevoked, AccessSubmitted,
        AccessSuspended, WantedAccess,
    },
    registration::v1::{ClientChanged, ClientSecretExpiring, client_changed::Change},
};
use portico_runtime::{
    fault,
    messages::{decode, id, unanswered},
};
use uuid::Uuid;

#[cfg(test)]
mod tests;

use crate::{
    delivery::{Command, Delivery, Failure, Mail},
    neighbours::Lookups,
    redact::without_addresses,
    templates::Template,
};

/// Durable consumer for the events that e-mails follow from.
pub const SPEC: ConsumerSpec = ConsumerSpec {
    name: "notification",
    subjects: &[
        "portico.access.access_submitted",
        "portico.access.access_rejected",
        "portico.access.access_revoked",
        "portico.access.access_activated",
        "portico.access.access_failed",
        "portico.access.access_suspended",
        "portico.registration.client_secret_expiring",
        "portico.registration.client_changed",
    ],
};

/// Queues mails.
pub struct Policies {
    pub(crate) store: EventStore,
    pub(crate) lookups: Lookups,
}

/// Whom a message is for.
enum To {
    Admins,
    Requester(String),
    Requesters(Vec<String>),
    /// It is no news for anybody.
    Nobody,
}

/// What a public event asks to be told, and to whom.
struct News {
    template: Template,
    to: To,
    subject_id: String,
    failure: Option<Failure>,
}

impl News {
    fn new(template: Template, to: To, subject_id: String) -> Self {
        Self {
            template,
            to,
            subject_id,
            failure: None,
        }
    }

    /// About a client that serves several requests: the page of the first one's application is the same.
    fn about(template: Template, to: To, requests: &[String], about: Failure) -> Self {
        let first = requests.first().cloned();
        Self {
            to: if first.is_some() { to } else { To::Nobody },
            failure: Some(about),
            ..Self::new(template, To::Nobody, first.unwrap_or_default())
        }
    }

    /// For the developer, about what became of granted access.
    fn about_access(template: Template, wanted: Option<WantedAccess>) -> Result<Self, PolicyError> {
        let missing = || PolicyError::Poison("what is wanted is missing".to_owned());
        let wanted = wanted.ok_or_else(missing)?;
        let to = To::Requester(wanted.requester_id);
        Ok(Self::new(template, to, wanted.request_id))
    }

    fn of_expiring(event: ClientSecretExpiring) -> Self {
        let to = match event.rotates {
            // It is told when the new secret is there.
            true => To::Nobody,
            false => To::Requesters(event.requester_ids),
        };
        let expires_at = event
            .expires_at
            .and_then(|at| Timestamp::new(at.seconds, at.nanos).ok());
        let about = Failure {
            provider_name: event.identity_provider_name,
            code: event.days_left.to_string(),
            words: expires_at.map_or_else(String::new, |at| at.to_string()),
        };
        Self::about(
            Template::ClientSecretExpiring,
            to,
            &event.request_ids,
            about,
        )
    }

    fn of_client(event: ClientChanged) -> Self {
        // Who rotated a secret knows it.
        let automatic = event.by.starts_with("service:");
        let (code, to) = match event.change() {
            Change::SecretRotated if automatic => {
                ("secret_rotated", To::Requesters(event.requester_ids))
            }
            Change::Adopted => ("client_adopted", To::Requesters(event.requester_ids)),
            Change::Replaced => ("client_replaced", To::Requesters(event.requester_ids)),
            Change::SecretRotated
            | Change::Suspended
            | Change::Resumed
            | Change::Missing
            | Change::Edited
            | Change::Unspecified => ("", To::Nobody),
        };
        let about = Failure {
            provider_name: event.identity_provider_name,
            code: code.to_owned(),
            words: String::new(),
        };
        Self::about(Template::CredentialsChanged, to, &event.request_ids, about)
    }

    fn of(message: &Message) -> Result<Self, PolicyError> {
        Ok(match message.subject.as_str() {
            "portico.access.access_submitted" => {
                let event: AccessSubmitted = decode(message)?;
                Self::new(Template::AccessSubmitted, To::Admins, event.request_id)
            }
            "portico.access.access_rejected" => {
                let event: AccessRejected = decode(message)?;
                let to = To::Requester(event.requester_id);
                Self::new(Template::AccessRejected, to, event.request_id)
            }
            "portico.access.access_revoked" => {
                let event: AccessRevoked = decode(message)?;
                Self::about_access(Template::AccessRevoked, event.wanted)?
            }
            "portico.access.access_activated" => {
                let event: AccessActivated = decode(message)?;
                let to = To::Requester(event.requester_id);
                Self::new(Template::AccessProvisioned, to, event.request_id)
            }
            "portico.access.access_failed" => {
                let event: AccessFailed = decode(message)?;
                let failure = Failure {
                    provider_name: event.neighbour_name.unwrap_or_default(),
                    code: event.code,
                    words: without_addresses(&event.reason, "", ""),
                };
                Self {
                    failure: Some(failure),
                    ..Self::new(Template::RegistrationFailed, To::Admins, event.request_id)
                }
            }
            "portico.access.access_suspended" => {
                let event: AccessSuspended = decode(message)?;
                let mut news = Self::about_access(Template::AccessSuspended, event.wanted)?;
                // Nobody writes to a suspended account, and the admin who suspended it knows.
                if event.with_account {
                    news.to = To::Nobody;
                }
                news
            }
            "portico.registration.client_secret_expiring" => Self::of_expiring(decode(message)?),
            "portico.registration.client_changed" => Self::of_client(decode(message)?),
            other => return Err(PolicyError::Poison(format!("unexpected subject {other}"))),
        })
    }
}

#[async_trait]
impl Policy for Policies {
    async fn handle(
        &self,
        message: &Message,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let news = News::of(message)?;
        if matches!(news.to, To::Nobody) {
            return self.mark(message, context, entry).await;
        }
        let subject_id = id("request_id", &news.subject_id)?;
        let recipients = match &news.to {
            To::Requester(user) => vec![id("requester_id", user)?],
            To::Requesters(users) => {
                let users: Result<Vec<Uuid>, _> =
                    users.iter().map(|user| id("requester_ids", user)).collect();
                users?
            }
            To::Nobody => Vec::new(),
            To::Admins => self
                .lookups
                .admins()
                .await
                .map_err(|error| unanswered(&error))?,
        };
        let Some((last, others)) = recipients.split_last() else {
            tracing::warn!(
                template = news.template.as_str(),
                "there is no admin to tell"
            );
            return self.mark(message, context, entry).await;
        };
        let mail = |recipient_id: Uuid| {
            Command::Queue(Mail {
                template: news.template,
                recipient_id,
                subject_id: Some(subject_id),
                failure: news.failure.clone(),
            })
        };
        for recipient in others {
            let delivery = delivery_id(message.id, *recipient);
            self.store
                .execute::<Delivery>(delivery, &mail(*recipient), context)
                .await?;
        }
        fault::point("mail_queueing");
        self.store
            .execute_once::<Delivery>(delivery_id(message.id, *last), &mail(*last), context, entry)
            .await?;
        fault::point("mail_queued");
        Ok(())
    }
}

impl Policies {
    /// Handled, with nothing to tell anybody.
    async fn mark(
        &self,
        message: &Message,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        self.store
            .append(Append {
                stream: Stream::of::<Delivery>(message.id),
                expected_version: 0,
                events: Vec::new(),
                inbox: Some(entry),
                now: context.now,
            })
            .await?;
        Ok(())
    }
}

/// One delivery for each fact and recipient.
fn delivery_id(message: Uuid, recipient: Uuid) -> Uuid {
    Uuid::new_v5(&message, recipient.as_bytes())
}
