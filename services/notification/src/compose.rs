//! Delivery -> letter. The people and the access request are looked up at every attempt, so that no personal data are
//! stored and an erased user gets nothing.

use portico_proto::{
    Error, Kind,
    access::v1::{AccessRequest, CredentialKind, TimelineStep},
    accounts::v1::Contact,
    rest::Enumeration as _,
};
use portico_runtime::Clock;
use uuid::Uuid;

use crate::{
    delivery::{Delivery, Mail, Reason, message_id},
    neighbours::Lookups,
    smtp::{Letter, Sender},
    templates::{Facts, Item, Template, Templates},
};

/// Why there is no letter. The text holds no personal data.
pub enum Obstacle {
    /// May succeed at another attempt.
    Transient(String),
    /// No attempt can succeed.
    Permanent(Reason, String),
}

/// Composes letters.
pub struct Composer {
    pub(crate) lookups: Lookups,
    pub(crate) templates: Templates,
    pub(crate) sender: Sender,
    pub(crate) clock: Clock,
}

impl Composer {
    /// Composes the letter of a delivery, with present names and addresses.
    pub async fn letter(&self, id: Uuid, delivery: &Delivery) -> Result<Letter, Obstacle> {
        let Some(mail) = &delivery.mail else {
            return Err(Obstacle::Permanent(
                Reason::SubjectGone,
                "the delivery is empty".to_owned(),
            ));
        };
        let (recipient, mut facts) = match mail.subject_id {
            Some(subject) => self.about(mail, subject).await?,
            None => self.sample(mail).await?,
        };
        facts.recipient_name.clone_from(&recipient.name);
        let mut filled = self
            .templates
            .fill(mail.template, &facts)
            .map_err(|mistake| Obstacle::Transient(mistake.to_string()))?;
        if mail.subject_id.is_none() {
            filled.subject = format!("[Test] {}", filled.subject);
        }
        Ok(Letter {
            address: recipient.email,
            name: recipient.name,
            message_id: message_id(&id.to_string(), delivery.resends, self.sender.host()),
            date: self.clock.now(),
            filled,
        })
    }

    async fn sample(&self, mail: &Mail) -> Result<(Contact, Facts), Obstacle> {
        let (recipient, _) = self.people(mail.recipient_id, "").await?;
        Ok((recipient, Facts::example(mail.template)))
    }

    async fn about(&self, mail: &Mail, subject: Uuid) -> Result<(Contact, Facts), Obstacle> {
        let request = self
            .lookups
            .access_request(subject)
            .await
            .map_err(|error| match error.kind {
                Kind::NotFound => Obstacle::Permanent(
                    Reason::SubjectGone,
                    "the access request does not exist any more".to_owned(),
                ),
                _ => service_failed("access-request", &error),
            })?;
        let (recipient, requester) = self
            .people(mail.recipient_id, &request.requester_id)
            .await?;
        let mut facts = facts(mail, request);
        facts.requester_name = requester.map(|contact| contact.name).unwrap_or_default();
        Ok((recipient, facts))
    }

    /// The recipient, and the requester if they still exist. Without a recipient there is nobody to send to; without a
    /// requester only a name is missing.
    async fn people(
        &self,
        recipient: Uuid,
        requester: &str,
    ) -> Result<(Contact, Option<Contact>), Obstacle> {
        let recipient = recipient.to_string();
        let mut ids = vec![recipient.clone()];
        if !requester.is_empty() && requester != recipient {
            ids.push(requester.to_owned());
        }
        let people = self
            .lookups
            .people(ids)
            .await
            .map_err(|error| service_failed("accounts", &error))?;
        let find = |id: &str| people.iter().find(|contact| contact.user_id == id).cloned();
        match find(&recipient).filter(|contact| !contact.email.is_empty()) {
            Some(contact) => Ok((contact, find(requester))),
            None => Err(Obstacle::Permanent(
                Reason::RecipientGone,
                "the recipient has no account any more".to_owned(),
            )),
        }
    }
}

fn service_failed(name: &str, error: &Error) -> Obstacle {
    Obstacle::Transient(format!("the {name} service answered: {}", error.code))
}

fn facts(mail: &Mail, request: AccessRequest) -> Facts {
    let reason = match mail.template {
        Template::AccessRejected => detail_of_step(TimelineStep::Rejected, &request),
        Template::AccessRevoked => detail_of_step(TimelineStep::Revoked, &request),
        Template::AccessSuspended => detail_of_step(TimelineStep::Suspended, &request),
        Template::AccessSubmitted
        | Template::AccessProvisioned
        | Template::RegistrationFailed
        | Template::ClientSecretExpiring
        | Template::CredentialsChanged => String::new(),
    };
    let mut facts = Facts {
        api_key: request.credential() == CredentialKind::ApiKey,
        status: request.status().as_word().to_owned(),
        request_id: request.id,
        application_id: request.application_id,
        application_name: request.application_name,
        items: request
            .items
            .into_iter()
            .map(|item| Item {
                product_name: item.product_name,
                plan_name: item.plan_name,
            })
            .collect(),
        note: request.note,
        reason,
        ..Facts::default()
    };
    if let Some(failure) = &mail.failure {
        facts.provider_name.clone_from(&failure.provider_name);
        facts.code.clone_from(&failure.code);
        facts.reason.clone_from(&failure.words);
    }
    facts
}

/// The reason given at that step. The request's own reason may be a later one: a mail about a rejection can be resent
/// long after.
fn detail_of_step(step: TimelineStep, request: &AccessRequest) -> String {
    request
        .timeline
        .iter()
        .rfind(|entry| entry.step() == step && !entry.detail.is_empty())
        .map_or_else(|| request.reason().to_owned(), |entry| entry.detail.clone())
}
