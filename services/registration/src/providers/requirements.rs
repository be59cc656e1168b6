//! Whether a provider's settings suffice to register clients there, as its driver sees it.

use portico_proto::Error;

use super::driver_for;
use crate::identity_provider::{Method, Settings};

/// A setting that keeps clients from being registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingSetting {
    /// The setting to change.
    pub field: &'static str,
    /// `missing` or `unfit`.
    problem: &'static str,
    /// Value that the provider's type expects, for the admin.
    pub right: String,
}

impl From<MissingSetting> for Error {
    fn from(missing: MissingSetting) -> Self {
        Self::field(
            missing.field,
            format!("{}_{}", missing.field, missing.problem),
            missing.right,
        )
    }
}

/// How the portal authorizes itself: as chosen, otherwise by what is stored.
#[must_use]
pub fn method(settings: &Settings, has_token: bool) -> Method {
    let methods = driver_for(&settings.kind).authorization_methods();
    let implied = match (has_token, settings.management.is_some()) {
        (true, _) if !methods.contains(&Method::InitialAccessToken) => Method::ApiToken,
        (true, _) => Method::InitialAccessToken,
        (false, true) => Method::ClientCredentials,
        (false, false) => Method::None,
    };
    settings.authorization.unwrap_or(implied)
}

/// The first thing that keeps clients from being registered, as far as settings tell.
#[must_use]
pub fn missing(settings: &Settings, has_token: bool) -> Option<MissingSetting> {
    let driver = driver_for(&settings.kind);
    let (kind, method) = (&settings.kind, method(settings, has_token));
    let methods = driver.authorization_methods();
    if !methods.contains(&method) && settings.authorization.is_some() {
        return Some(MissingSetting {
            field: "authorization",
            problem: "unfit",
            right: format!(
                "`authorization` must be one of {} for a provider of type {kind}.",
                listed(methods)
            ),
        });
    }
    let needed = match method {
        // Nothing was given, and the type needs something.
        Method::None if !methods.contains(&Method::None) => Some(preferred(methods)),
        Method::InitialAccessToken if !has_token => Some("initial_access_token"),
        Method::ApiToken if !has_token => Some("api_token"),
        Method::ClientCredentials if settings.management.is_none() => Some("management_client_id"),
        _ => None,
    };
    let needed = needed.map(|field| {
        let right = format!(
            "`{field}` must be given: the portal authorizes itself with it at a provider of type {kind}."
        );
        (field, right)
    });
    let option = driver.missing_option(method, &settings.options);
    let (field, right) = needed.or(option.map(|(field, right)| (field, right.to_owned())))?;
    Some(MissingSetting {
        field,
        problem: "missing",
        right,
    })
}

/// Whether the authorization method that was chosen can be used. Settings that choose none are taken as they are;
/// what they lack is a warning.
///
/// # Errors
/// The setting that is missing or does not fit.
pub fn check_chosen_method(settings: &Settings, has_token: bool) -> Result<(), Error> {
    match missing(settings, has_token) {
        Some(missing) if settings.authorization.is_some() => Err(missing.into()),
        _ => Ok(()),
    }
}

/// What an admin should change, for people.
#[must_use]
pub fn warnings(settings: &Settings, has_token: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if settings.location.skip_tls_verify {
        warnings.push(
            "TLS certificates of this provider are not verified: anybody in between can read and change everything, \
             tokens and secrets included. Give the authority's certificate as `trusted_certificates` instead."
                .to_owned(),
        );
    }
    warnings.extend(missing(settings, has_token).map(|missing| missing.right));
    warnings
}

fn preferred(methods: &[Method]) -> &'static str {
    match methods.first() {
        Some(Method::ApiToken) => "api_token",
        Some(Method::ClientCredentials) => "management_client_id",
        Some(Method::InitialAccessToken | Method::None) | None => "initial_access_token",
    }
}

fn listed(methods: &[Method]) -> String {
    let names: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    names.join(", ")
}
