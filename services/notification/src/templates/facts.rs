//! The variables of templates; `web/mail/README.md` describes them for operators.

use minijinja::{Value, context, value::Serde};
use serde::Serialize;

use super::Template;

/// A product and the plan it was requested under.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "their names say it")]
pub struct Item {
    pub product_name: String,
    pub plan_name: String,
}

/// Each is a variable under its name. Holds names of people: no `Debug`, never stored, dropped after sending.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// For the greeting; may be empty.
    pub recipient_name: String,
    /// The developer who asked for access; empty once they are erased.
    pub requester_name: String,
    /// Id of the access request.
    pub request_id: String,
    /// Status at the time of sending: an auto-approved request is not `pending` any more when its mail is rendered.
    pub status: String,
    /// Of the application that asks for access.
    pub application_id: String,
    /// For display.
    pub application_name: String,
    /// What access was requested to.
    pub items: Vec<Item>,
    /// The developer's note to the admins; may be empty.
    pub note: String,
    /// Why access was rejected, suspended or revoked; the provider's own message; or the expiry of a secret.
    pub reason: String,
    /// The identity provider that refused or changed the client.
    pub provider_name: String,
    /// Code of the failure or change; for an expiring secret, the days left.
    pub code: String,
    /// Access by API key instead of an OAuth client.
    pub api_key: bool,
}

impl Facts {
    /// Example data for previews and test messages.
    pub fn example(template: Template) -> Self {
        let item = |product: &str, plan: &str| Item {
            product_name: product.to_owned(),
            plan_name: plan.to_owned(),
        };
        let mut facts = Self {
            recipient_name: "Alex Example".to_owned(),
            requester_name: "Robin Example".to_owned(),
            request_id: "0190b6f1-7c3e-7d2a-9b1e-5f3c2a1b0d4e".to_owned(),
            status: "pending".to_owned(),
            application_id: "0190b6f1-7c3e-7d2a-9b1e-000000000001".to_owned(),
            application_name: "Web shop".to_owned(),
            items: vec![
                item("Payments API", "Free"),
                item("Exchange rates API", "Gold"),
            ],
            ..Self::default()
        };
        match template {
            Template::AccessSubmitted => {
                facts.note = "We want to take payments in our shop from next month on.".to_owned();
            }
            Template::AccessProvisioned => (),
            Template::AccessRejected => {
                facts.reason = "Please use the sandbox product first.\nWrite to the API team if you need help."
                    .to_owned();
            }
            Template::AccessSuspended => facts.reason = "Too many errors.".to_owned(),
            Template::ClientSecretExpiring => {
                facts.provider_name = "Company login".to_owned();
                facts.code = "7".to_owned();
                facts.reason = "2026-12-01T00:00:00Z".to_owned();
            }
            Template::CredentialsChanged => {
                facts.provider_name = "Company login".to_owned();
                facts.code = "secret_rotated".to_owned();
            }
            Template::AccessRevoked => facts.reason = "The trial has ended.".to_owned(),
            Template::RegistrationFailed => {
                facts.provider_name = "Company login".to_owned();
                facts.code = "invalid_client_metadata".to_owned();
                facts.reason = "Invalid redirect URI: http://shop.example/callback".to_owned();
            }
        }
        facts
    }

    pub(super) fn context(&self) -> Value {
        let product_names: Vec<Value> = self
            .items
            .iter()
            .map(|item| Value::from(&item.product_name))
            .collect();
        context! { product_names => product_names, ..Value::from(Serde(self)) }
    }
}
