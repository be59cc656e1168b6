//! What a request asks for, and what its approval adds for the registration.

use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a request leads to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// Scopes of the application's OAuth client at an identity provider.
    #[default]
    OauthClient,
    /// API keys at the gateways.
    ApiKey,
}

impl Credential {
    /// As in REST and gRPC.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OauthClient => "oauth_client",
            Self::ApiKey => "api_key",
        }
    }

    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// A request as it was submitted: names and scopes are those of that time, so that an approval grants what the
/// developer saw and the admin reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Who asks: a user's id.
    pub requester_id: Uuid,
    /// For which application.
    pub application_id: Uuid,
    /// Its name at that time.
    pub application_name: String,
    /// What it leads to.
    #[serde(default, skip_serializing_if = "Credential::is_usual")]
    pub credential: Credential,
    /// Which kind of OAuth client; nil for API keys.
    pub client_type_id: Uuid,
    /// The client type's provider; nil for API keys.
    pub identity_provider_id: Uuid,
    /// Whether such a client cannot do without redirect URLs.
    pub needs_redirect_urls: bool,
    /// For what; at least one.
    pub items: Vec<RequestedItem>,
    /// Whether every plan approves by itself.
    pub auto_approve: bool,
    /// What the requester wrote; in the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<VaultRef>,
}

impl Submission {
    /// The identity provider as others are told: empty where there is none.
    pub(crate) fn identity_provider(&self) -> String {
        named(self.identity_provider_id)
    }

    /// The client type as others are told: empty where there is none.
    pub(crate) fn client_type(&self) -> String {
        named(self.client_type_id)
    }
}

fn named(id: Uuid) -> String {
    if id.is_nil() {
        String::new()
    } else {
        id.to_string()
    }
}

/// A product under a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedItem {
    /// The product.
    pub product_id: Uuid,
    /// Its name at that time.
    pub product_name: String,
    /// Its scopes at that time.
    pub product_scopes: Vec<String>,
    /// The plan.
    pub plan_id: Uuid,
    /// Its name at that time.
    pub plan_name: String,
    /// Its scopes at that time.
    pub plan_scopes: Vec<String>,
}

/// What the gateway needs for one requested item, as it was when the request was approved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovedItem {
    /// Of the requested item.
    pub product_id: Uuid,
    /// An existing gateway policy of the product, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub product_policy_id: String,
    /// What the product opens.
    pub apis: Vec<GatewayApi>,
    /// An existing gateway policy of the plan, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub plan_policy_id: String,
    /// Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Limit>,
    /// Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Limit>,
    /// Of the product's stream in the catalogue; 0: not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub product_version: u64,
    /// Of the plan's stream in the catalogue; 0: not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub plan_version: u64,
}

fn is_zero(version: &u64) -> bool {
    *version == 0
}

/// An API at a gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayApi {
    /// Its id at the gateway.
    pub api_id: String,
    /// Its name.
    pub name: String,
    /// Where developers call it, or empty.
    pub url: String,
    /// Portico's id of the gateway; empty: the only one.
    pub gateway_id: String,
}

/// So many requests in so many seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// At least 1.
    pub requests: u64,
    /// The rate's window or the quota's renewal.
    pub seconds: u64,
}
