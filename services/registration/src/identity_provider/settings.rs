//! What an admin enters of a provider.

use portico_proto::Error;
use portico_runtime::{Problems, texts};
use portico_vault::{Secret, VaultRef};
use serde::{Deserialize, Serialize};

use super::{Endpoints, Method, Options, ProviderType, trust};

/// Where the scopes are in a token, unless the admin says otherwise (RFC 9068 section 2.2.3).
const SCOPE_CLAIM: &str = "scope";
/// Characters of a client id (RFC 6749 leaves it open; Keycloak takes 255).
const CLIENT_ID: usize = 255;
/// Characters of a token or secret.
const SECRET: usize = 8192;
/// Characters of a scope, an audience or a template's id.
const LINE: usize = 1000;
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
    /// Empty: by what is stored.
    pub authorization: Option<String>,
    /// Empty: none from now on.
    pub api_token: Option<Secret>,
    /// See [`Options`].
    pub management_scope: Option<String>,
    /// See [`Options`].
    pub management_audience: Option<String>,
    /// `client_secret_basic` or `client_secret_post`; empty is the first.
    pub management_auth_method: Option<String>,
    /// See [`Location`].
    pub trusted_certificates: Option<String>,
    /// See [`Endpoints`].
    pub allowed_origins: Option<Vec<String>>,
    /// See [`Endpoints`]; a URL. Empty: the document says it.
    pub registration_endpoint_override: Option<String>,
    /// See [`Options`].
    pub api_audience: Option<String>,
    /// See [`Options`].
    pub client_template: Option<String>,
    /// Empty: none from now on.
    pub software_statement: Option<Secret>,
}

impl Draft {
    /// Trims and checks what was entered.
    ///
    /// # Errors
    /// All problems at once.
    pub fn checked(mut self, mut problems: Problems) -> Result<Self, Error> {
        if let Some(name) = &mut self.name {
            *name = texts::name(&mut problems, "name", name);
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
            *id = texts::line(&mut problems, "management_client_id", id, CLIENT_ID);
        }
        if let Some(given) = self.management_client_secret.take() {
            let given = secret(&mut problems, "management_client_secret", &given);
            self.management_client_secret = (!given.is_empty()).then_some(given);
        }
        self.check_authorization(&mut problems);
        self.check_trust(&mut problems);
        problems.into_result()?;
        Ok(self)
    }

    fn check_authorization(&mut self, problems: &mut Problems) {
        if let Some(method) = &mut self.authorization {
            *method = method.trim().to_owned();
            if !method.is_empty() && method.parse::<Method>().is_err() {
                let names: Vec<&str> = Method::ALL.iter().map(|one| one.as_str()).collect();
                let right = format!("`authorization` must be one of {}.", names.join(", "));
                problems.add("authorization", "authorization_unknown", right);
            }
        }
        if let Some(token) = &mut self.api_token {
            *token = secret(problems, "api_token", token);
        }
        if let Some(statement) = &mut self.software_statement {
            *statement = secret(problems, "software_statement", statement);
        }
        let lines = [
            ("management_scope", &mut self.management_scope),
            ("management_audience", &mut self.management_audience),
            ("api_audience", &mut self.api_audience),
            ("client_template", &mut self.client_template),
        ];
        for (field, text) in lines {
            if let Some(text) = text {
                *text = texts::line(problems, field, text, LINE);
            }
        }
        if let Some(method) = &mut self.management_auth_method {
            *method = method.trim().to_owned();
            if !["", "client_secret_basic", IN_BODY].contains(&method.as_str()) {
                let right =
                    "`management_auth_method` must be client_secret_basic or client_secret_post.";
                problems.add(
                    "management_auth_method",
                    "management_auth_method_unknown",
                    right,
                );
            }
        }
    }

    fn check_trust(&mut self, problems: &mut Problems) {
        if let Some(pem) = &mut self.trusted_certificates {
            *pem = pem.trim().to_owned();
            if let Err(error) = trust::check(pem) {
                let right = format!("`trusted_certificates`: {error}.");
                problems.add("trusted_certificates", error.code(), right);
            }
        }
        if let Some(url) = &mut self.registration_endpoint_override {
            *url = url.trim().to_owned();
            if !url.is_empty() && !trust::endpoint(url) {
                let right = "`registration_endpoint_override` must be an http(s) URL such as \
                             https://id.example.org/oauth2/register, without fragment or user information.";
                problems.add(
                    "registration_endpoint_override",
                    "registration_endpoint_override_invalid",
                    right,
                );
            }
        }
        for origin in self.allowed_origins.iter_mut().flatten() {
            match trust::origin(origin) {
                Some(checked) => *origin = checked,
                None => {
                    let right = "`allowed_origins` must hold origins such as https://internal.example:8443, without \
                                 path, query or user information.";
                    problems.add("allowed_origins", "allowed_origin_invalid", right);
                    break;
                }
            }
        }
    }

    /// What the type of provider needs to be told after this draft, given what it was told before.
    #[must_use]
    pub fn options(&self, before: &Options) -> Options {
        let text = |new: &Option<String>, before: &String| new.as_ref().unwrap_or(before).clone();
        Options {
            management_scope: text(&self.management_scope, &before.management_scope),
            management_audience: text(&self.management_audience, &before.management_audience),
            management_in_body: match &self.management_auth_method {
                Some(method) => method == IN_BODY,
                None => before.management_in_body,
            },
            api_audience: text(&self.api_audience, &before.api_audience),
            client_template: text(&self.client_template, &before.client_template),
        }
    }

    /// The chosen authorization after this draft.
    #[must_use]
    pub fn authorization(&self, before: Option<Method>) -> Option<Method> {
        match &self.authorization {
            Some(method) => method.parse().ok(),
            None => before,
        }
    }

    /// Whether the well-known document must be verified anew.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.well_known_url.is_some()
            || self.skip_tls_verify.is_some()
            || self.trusted_certificates.is_some()
            || self.allowed_origins.is_some()
            || self.registration_endpoint_override.is_some()
    }

    /// The one token that was given, whichever of the two fields it came in.
    ///
    /// # Errors
    /// Both fields have one.
    pub fn token(&self) -> Result<Option<&Secret>, Error> {
        let filled = |secret: &&Secret| !secret.is_empty();
        let (initial, api) = (self.initial_access_token.as_ref(), self.api_token.as_ref());
        match (initial.filter(filled), api.filter(filled)) {
            (Some(_), Some(_)) => Err(Error::field(
                "api_token",
                "api_token_mismatch",
                "Give `api_token` or `initial_access_token`, not both: a provider has one authorization method.",
            )),
            (token, None) | (None, token) => Ok(token.or(initial).or(api)),
        }
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
