//! What is stored of a provider's settings.

use portico_vault::VaultRef;
use serde::{Deserialize, Serialize};

use super::{Endpoints, Method, Options, ProviderType};

/// RFC 6749 section 2.3.1, with the name of RFC 7591 section 2.
pub const IN_BODY: &str = "client_secret_post";

/// The settings of a provider. Holds references, never a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Unique among providers.
    pub name: String,
    /// Decides the driver; never changes.
    pub kind: ProviderType,
    /// Well-known URL, TLS trust and verified endpoints.
    pub location: Location,
    /// The claim of its tokens that lists the scopes.
    pub scope_claim: String,
    /// Credentials beyond RFC 7592.
    pub management: Option<ManagementRef>,
    /// How the portal authorizes itself. None: by what is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Method>,
    /// What its type needs to be told.
    #[serde(default, skip_serializing_if = "Options::is_empty")]
    pub options: Options,
    /// RFC 7591 section 2.3; a reference into the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_statement: Option<VaultRef>,
}

impl Settings {
    /// Whether what the portal authorizes itself with is something else than before, tokens aside.
    #[must_use]
    pub fn authorizes_otherwise(&self, before: &Self) -> bool {
        self.authorization != before.authorization
            || self.management != before.management
            || self.options != before.options
            || self.software_statement != before.software_statement
    }

    /// As in the well-known document.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.location.endpoints.issuer
    }
}

/// A well-known document and what was verified in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// OpenID Connect Discovery 1.0 section 4 or RFC 8414 section 3.
    pub well_known_url: String,
    /// Certificates are not verified. For trying out only.
    pub skip_tls_verify: bool,
    /// Certificates in PEM, trusted beside those of the system; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trusted_certificates: String,
    /// As the document was when it was verified last.
    pub endpoints: Endpoints,
}

/// Management credentials, the secret in the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagementRef {
    /// Client id at the provider.
    pub client_id: String,
    /// Reference into the vault.
    pub client_secret: VaultRef,
}

impl ManagementRef {
    /// As long as the secret is not in the vault.
    #[must_use]
    pub fn unknown(client_id: String) -> Self {
        Self {
            client_id,
            client_secret: VaultRef(uuid::Uuid::nil()),
        }
    }
}
