//! What is stored of a verified well-known document.

use serde::{Deserialize, Serialize};
use url::Url;

/// What is used of a verified well-known document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Verbatim, for comparing with the `iss` of tokens.
    pub issuer: String,
    /// RFC 7591 section 3.
    pub registration_endpoint: Url,
    /// RFC 6749 section 3.2.
    pub token_endpoint: Url,
    /// RFC 7517 section 5. Optional in RFC 8414: nobody but the provider can read its tokens where it has none.
    #[serde(default)]
    pub jwks_uri: Option<Url>,
    /// Empty where the document does not say.
    pub scopes_supported: Vec<String>,
    /// `token_endpoint_auth_methods_supported`; empty where the document does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auth_methods_supported: Vec<String>,
    /// RFC 8414 section 2; empty where the document does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grant_types_supported: Vec<String>,
    /// Origins beside the issuer's that an admin allowed tokens to be sent to,
    /// for example `https://internal.example:8443`.
    #[serde(default)]
    pub allowed_origins: Vec<String>,
    /// What an admin gave as the registration endpoint; the document's own does not count then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_endpoint_override: Option<Url>,
}

/// What an admin says beside the document. See [`Endpoints`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overrides<'a> {
    /// Origins beside the issuer's.
    pub allowed_origins: &'a [String],
    /// RFC 8414 section 2 lets a server be silent about it.
    pub registration_endpoint: Option<&'a Url>,
}

impl Endpoints {
    /// What an admin said beside the document.
    #[must_use]
    pub fn overrides(&self) -> Overrides<'_> {
        Overrides {
            allowed_origins: &self.allowed_origins,
            registration_endpoint: self.registration_endpoint_override.as_ref(),
        }
    }

    /// Whether another reading of the document differs in nothing but the order of its lists.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let ordered = |endpoints: &Self| {
            let mut endpoints = endpoints.clone();
            endpoints.scopes_supported.sort_unstable();
            endpoints.auth_methods_supported.sort_unstable();
            endpoints.grant_types_supported.sort_unstable();
            endpoints
        };
        ordered(self) == ordered(other)
    }

    /// Whether a token may be sent to `url`: it has the issuer's origin (RFC 6454) or one that an admin allowed.
    #[must_use]
    pub fn trusts(&self, url: &Url) -> bool {
        has_trusted_origin(&self.issuer, &self.allowed_origins, url)
    }

    /// Whether the document names `client_secret_post` and not `client_secret_basic`.
    pub(crate) fn only_secrets_in_the_body(&self) -> bool {
        let supports = |method: &str| self.auth_methods_supported.iter().any(|one| one == method);
        supports("client_secret_post") && !supports("client_secret_basic")
    }
}

/// Whether `url` has the issuer's origin (RFC 6454) or one of the allowed ones.
pub(crate) fn has_trusted_origin(issuer: &str, allowed: &[String], url: &Url) -> bool {
    let same = |other: &str| {
        Url::parse(other)
            .is_ok_and(|other| other.origin().is_tuple() && other.origin() == url.origin())
    };
    same(issuer) || allowed.iter().any(|origin| same(origin))
}
