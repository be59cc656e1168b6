//! What templates are filled with. `web/mail/README.md` says what the variables mean.

use minijinja::{Value, context};

use super::Template;

/// A product under a plan.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    /// The product's name.
    pub product_name: String,
    /// The plan's name.
    pub plan_name: String,
}

/// The variables. Holds names of people: no `Debug`, never stored, gone after the sending.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whom it greets; may be empty.
    pub recipient_name: String,
    /// Who asked for access; may be empty.
    pub requester_name: String,
    /// The access request.
    pub request_id: String,
    /// Its status now, for example `pending`; an auto-approved one is further when its mail is made.
    pub status: String,
    /// Its application.
    pub application_id: String,
    /// Name of the application.
    pub application_name: String,
    /// What was asked for.
    pub items: Vec<Item>,
    /// The developer's note.
    pub note: String,
    /// Why it was rejected or revoked, or the provider's own words.
    pub reason: String,
    /// The identity provider that refused.
    pub provider_name: String,
    /// Stable word of its refusal.
    pub code: String,
    /// The access is by API keys, not by an OAuth client.
    pub api_key: bool,
}

impl Facts {
    /// For previews and test messages.
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
        let items: Vec<Value> = self
            .items
            .iter()
            .map(|item| context! { product_name => &item.product_name, plan_name => &item.plan_name })
            .collect();
        let product_names: Vec<Value> = self
            .items
            .iter()
            .map(|item| Value::from(&item.product_name))
            .collect();
        context! {
            recipient_name => &self.recipient_name,
            requester_name => &self.requester_name,
            request_id => &self.request_id,
            status => &self.status,
            application_id => &self.application_id,
            application_name => &self.application_name,
            items => items,
            product_names => product_names,
            note => &self.note,
            reason => &self.reason,
            provider_name => &self.provider_name,
            code => &self.code,
            api_key => self.api_key,
        }
    }
}
