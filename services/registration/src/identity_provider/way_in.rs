//! Whether a provider can be registered at in the way that its settings say.

use portico_proto::Error;

use super::Settings;
use crate::providers::{Method, ProviderType};

/// What keeps a provider from being used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The setting to change.
    pub field: &'static str,
    /// `missing` or `unfit`.
    problem: &'static str,
    /// What would be right.
    pub right: String,
}

impl From<Gap> for Error {
    fn from(gap: Gap) -> Self {
        Self::field(
            gap.field,
            format!("{}_{}", gap.field, gap.problem),
            gap.right,
        )
    }
}

impl Settings {
    /// The first thing that keeps clients from being registered, as far as settings tell.
    #[must_use]
    pub fn gap(&self, has_token: bool) -> Option<Gap> {
        let (kind, method) = (self.kind, self.method(has_token));
        let ways = Method::of(kind);
        if !ways.contains(&method) && self.authorization.is_some() {
            return Some(Gap {
                field: "authorization",
                problem: "unfit",
                right: format!(
                    "`authorization` must be one of {} for a provider of type {kind}.",
                    listed(ways)
                ),
            });
        }
        let missing = match method {
            // Nothing was given, and the kind needs something.
            Method::None if !ways.contains(&Method::None) => Some(needed(ways)),
            Method::InitialAccessToken if !has_token => Some("initial_access_token"),
            Method::ApiToken if !has_token => Some("api_token"),
            Method::ClientCredentials if self.management.is_none() => Some("management_client_id"),
            _ => None,
        };
        let missing = missing.map(|field| {
            let right = format!(
                "`{field}` must be given: the portal authorises itself with it at a provider of type {kind}."
            );
            (field, right)
        });
        let audience = (kind == ProviderType::Auth0
            && method != Method::None
            && self.options.api_audience.is_empty())
        .then(|| {
            let right = "`api_audience` must be the identifier of the Auth0 API whose scopes clients are granted.";
            ("api_audience", right.to_owned())
        });
        let (field, right) = missing.or(audience)?;
        Some(Gap {
            field,
            problem: "missing",
            right,
        })
    }

    /// Whether the way in that was chosen can be taken. Settings that choose none are taken as they always were;
    /// what they lack is a warning.
    ///
    /// # Errors
    /// The setting that is missing or does not fit.
    pub fn check_chosen_way(&self, has_token: bool) -> Result<(), Error> {
        match self.gap(has_token) {
            Some(gap) if self.authorization.is_some() => Err(gap.into()),
            _ => Ok(()),
        }
    }

    /// What an admin should change, in words.
    #[must_use]
    pub fn warnings(&self, has_token: bool) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.location.skip_tls_verify {
            warnings.push(
                "TLS certificates of this provider are not verified: anybody in between can read and change \
                 everything, tokens and secrets included. Give the authority's certificate as \
                 `trusted_certificates` instead."
                    .to_owned(),
            );
        }
        warnings.extend(self.gap(has_token).map(|gap| gap.right));
        warnings
    }
}

fn needed(ways: &[Method]) -> &'static str {
    match ways.first() {
        Some(Method::ApiToken) => "api_token",
        Some(Method::ClientCredentials) => "management_client_id",
        _ => "initial_access_token",
    }
}

fn listed(ways: &[Method]) -> String {
    let names: Vec<&str> = ways.iter().map(|way| way.as_str()).collect();
    names.join(", ")
}
