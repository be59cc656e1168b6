//! What an admin enters of a provider.

use portico_proto::Error;
use portico_runtime::Problems;
use portico_vault::{Secret, VaultRef};
use serde::{Deserialize, Serialize};

use crate::providers::{Endpoints, ProviderType};
use crate::text;

/// Where the scopes are in a token, unless the admin says otherwise (RFC 9068 section 2.2.3).
const SCOPE_CLAIM: &str = "scope";
/// Characters of a client id (RFC 6749 leaves it open; Keycloak takes 255).
const CLIENT_ID: usize = 255;
/// Characters of a token or secret.
const SECRET: usize = 8192;

/// The settings of a provider. Holds references, never a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Unique among providers.
    pub name: String,
    /// Decides the driver; never changes.
    pub kind: ProviderType,
    /// Where it is.
    pub location: Location,
    /// The claim of its tokens that lists the scopes.
    pub scope_claim: String,
    /// Credentials beyond RFC 7592.
    pub management: Option<ManagementRef>,
}

impl Settings {
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
    /// As the document was when it was verified last.
    pub endpoints: Endpoints,
}

/// Management credentials, the secret in the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagementRef {
    /// Its id at the provider.
    pub client_id: String,
    /// Reference into the vault.
    pub client_secret: VaultRef,
}

/// What was entered, and is right by itself. None: not entered, so it stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// 1 to 100 characters.
    pub name: Option<String>,
    /// Trimmed; verified by fetching it.
    pub well_known_url: Option<String>,
    /// See [`Location`].
    pub skip_tls_verify: Option<bool>,
    /// Never empty.
    pub scope_claim: Option<String>,
    /// Empty: none from now on.
    pub initial_access_token: Option<Secret>,
    /// Empty: no management credentials from now on.
    pub management_client_id: Option<String>,
    /// Never empty.
    pub management_client_secret: Option<Secret>,
}

impl Draft {
    /// Trims and checks what was entered.
    ///
    /// # Errors
    /// All problems at once.
    pub fn checked(mut self, mut problems: Problems) -> Result<Self, Error> {
        if let Some(name) = &mut self.name {
            *name = text::name(&mut problems, "name", name);
        }
        if let Some(url) = &mut self.well_known_url {
            *url = url.trim().to_owned();
        }
        if let Some(claim) = &mut self.scope_claim {
            *claim = claim.trim().to_owned();
            if claim.is_empty() {
                SCOPE_CLAIM.clone_into(claim);
            }
            if claim.chars().count() > 100 || !claim.chars().all(|c| c.is_ascii_graphic()) {
                let right =
                    "`scope_claim` must be the name of a claim, for example `scope` or `scp`.";
                problems.add("scope_claim", "scope_claim_invalid", right);
            }
        }
        if let Some(token) = &mut self.initial_access_token {
            *token = secret(&mut problems, "initial_access_token", token);
        }
        if let Some(id) = &mut self.management_client_id {
            *id = id.trim().to_owned();
            text::line(&mut problems, "management_client_id", id, CLIENT_ID);
        }
        if let Some(given) = self.management_client_secret.take() {
            let given = secret(&mut problems, "management_client_secret", &given);
            self.management_client_secret = (!given.is_empty()).then_some(given);
        }
        problems.into_result()?;
        Ok(self)
    }

    /// The id of the management credentials after this draft, given the one before; and whether a new secret
    /// comes with it.
    ///
    /// # Errors
    /// One of the two is missing. A stored secret is not used for another client than it was given for.
    pub fn management(&self, before: Option<&str>) -> Result<Option<(String, bool)>, Error> {
        let id = self.management_client_id.as_deref().or(before);
        let id = id.filter(|id| !id.is_empty());
        let secret = self.management_client_secret.is_some();
        match (id, secret) {
            (None, false) => Ok(None),
            (None, true) => Err(Error::field(
                "management_client_id",
                "management_client_id_missing",
                "`management_client_id` must be given with `management_client_secret`.",
            )),
            (Some(id), false) if before != Some(id) => Err(Error::field(
                "management_client_secret",
                "management_client_secret_missing",
                "`management_client_secret` must be given with a new `management_client_id`.",
            )),
            (Some(id), secret) => Ok(Some((id.to_owned(), secret))),
        }
    }
}

/// A token or secret, trimmed; it goes into a header, and so must fit one.
fn secret(problems: &mut Problems, field: &str, secret: &Secret) -> Secret {
    let text = secret.expose().trim();
    if text.len() > SECRET || !text.chars().all(|c| c.is_ascii_graphic()) {
        let right =
            format!("`{field}` must be at most {SECRET} visible ASCII characters without spaces.");
        problems.add(field, &format!("{field}_malformed"), right);
    }
    Secret::new(text)
}
