//! What a request asks for.

use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a request leads to. All its products give the same kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Credential {
    /// Scopes of the application's OAuth client at an identity provider.
    OauthClient(OauthClient),
    /// API keys at the gateways.
    #[default]
    ApiKey,
}

/// Which OAuth client gets the scopes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OauthClient {
    /// Identity provider that registers the client.
    pub identity_provider_id: Uuid,
    /// Client type of that provider.
    pub client_type_id: Uuid,
    /// The client type cannot do without redirect URLs (RFC 6749 section 3.1.2.2).
    pub needs_redirect_urls: bool,
}

impl Credential {
    /// `None` for API keys.
    pub fn oauth_client(&self) -> Option<&OauthClient> {
        match self {
            Self::OauthClient(client) => Some(client),
            Self::ApiKey => None,
        }
    }
}

/// A request as it was submitted, with the names and scopes of that time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Id of the user who submitted it.
    pub requester_id: Uuid,
    /// Whose credentials they will be.
    pub application_id: Uuid,
    /// Credential that an approval creates.
    pub credential: Credential,
    /// At least one.
    pub items: Vec<RequestedItem>,
    /// Every plan approves by itself.
    pub auto_approve: bool,
    /// What the requester wrote; in the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<VaultRef>,
}

/// A product under a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedItem {
    /// Id of the product in the catalogue.
    pub product_id: Uuid,
    /// Its name at that time.
    pub product_name: String,
    /// Its scopes at that time.
    pub product_scopes: Vec<String>,
    /// Id of the plan in the catalogue.
    pub plan_id: Uuid,
    /// Its name at that time.
    pub plan_name: String,
    /// Its scopes at that time.
    pub plan_scopes: Vec<String>,
}
