//! From a delivery to a letter: the people and the access request are looked up anew, the template is filled.

use portico_proto::{Error, Kind, access::v1::AccessRequest, accounts::v1::Contact};
use portico_runtime::Clock;
use uuid::Uuid;

use crate::{
    delivery::{Delivery, Mail, Reason, message_id},
    lookups::Lookups,
    smtp::{Letter, Sender},
    templates::{Facts, Item, Template, Templates},
};

/// Why there is no letter. The words hold no personal datum.
pub enum Obstacle {
    /// Worth another try.
    Passing(String),
    /// It will never be.
    Final(Reason, String),
}

/// Makes letters.
pub struct Composer {
    pub(crate) lookups: Lookups,
    pub(crate) templates: Templates,
    pub(crate) sender: Sender,
    pub(crate) clock: Clock,
}

impl Composer {
    /// The letter of a delivery, with the people's names and addresses of now.
    pub async fn letter(&self, id: Uuid, delivery: &Delivery) -> Result<Letter, Obstacle> {
        let Some(mail) = &delivery.mail else {
            return Err(Obstacle::Final(
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
            .map_err(|mistake| Obstacle::Passing(mistake.to_string()))?;
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
                Kind::NotFound => Obstacle::Final(
                    Reason::SubjectGone,
                    "the access request is not there any more".to_owned(),
                ),
                _ => unreachable_service("access-request", &error),
            })?;
        let (recipient, requester) = self
            .people(mail.recipient_id, &request.requester_id)
            .await?;
        let mut facts = facts(mail, request);
        facts.requester_name = requester.map(|contact| contact.name).unwrap_or_default();
        Ok((recipient, facts))
    }

    /// The recipient, and the requester where they still are.
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
            .map_err(|error| unreachable_service("accounts", &error))?;
        let find = |id: &str| people.iter().find(|contact| contact.user_id == id).cloned();
        match find(&recipient).filter(|contact| !contact.email.is_empty()) {
            Some(contact) => Ok((contact, find(requester))),
            None => Err(Obstacle::Final(
                Reason::RecipientGone,
                "the recipient has no account any more".to_owned(),
            )),
        }
    }
}

fn unreachable_service(name: &str, error: &Error) -> Obstacle {
    Obstacle::Passing(format!("the {name} service answered: {}", error.code))
}

fn facts(mail: &Mail, request: AccessRequest) -> Facts {
    let reason = match mail.template {
        Template::AccessRejected => said_at("rejected", &request),
        Template::AccessRevoked => said_at("revoked", &request),
        Template::AccessSuspended => said_at("suspended", &request),
        Template::AccessSubmitted
        | Template::AccessProvisioned
        | Template::RegistrationFailed
        | Template::ClientSecretExpiring
        | Template::CredentialsChanged => String::new(),
    };
    let mut facts = Facts {
        api_key: request.credential == "api_key",
        request_id: request.id,
        status: request.status,
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

/// What was said at that step; the request's own reason may have become another one meanwhile.
fn said_at(step: &str, request: &AccessRequest) -> String {
    request
        .timeline
        .iter()
        .rfind(|entry| entry.step == step && !entry.detail.is_empty())
        .map_or_else(|| request.reason.clone(), |entry| entry.detail.clone())
}
