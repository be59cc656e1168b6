//! A provider as callers see it.

use portico_proto::{registration::v1 as api, time};

use crate::identity_provider::Method;
use crate::providers::requirements;
use crate::views::identity_providers::Listed;
use crate::wire;

/// With what the driver makes of the settings.
pub(super) fn shown(from: Listed) -> api::IdentityProvider {
    let (settings, has_token) = (&from.settings, from.has_token);
    let endpoints = &settings.location.endpoints;
    let method = requirements::method(settings, has_token);
    api::IdentityProvider {
        id: from.id,
        authorization: Some(wire::authorization(method)),
        has_initial_access_token: has_token && method != Method::ApiToken,
        has_api_token: has_token && method == Method::ApiToken,
        has_software_statement: settings.software_statement.is_some(),
        issuer: endpoints.issuer.clone(),
        registration_endpoint: endpoints.registration_endpoint.to_string(),
        token_endpoint: endpoints.token_endpoint.to_string(),
        jwks_uri: endpoints.jwks_uri.clone().map(Into::into),
        scopes_supported: endpoints.scopes_supported.clone(),
        status: wire::word::<api::IdentityProviderStatus>(&from.status),
        status_reason: wire::given(from.status_reason),
        warnings: requirements::warnings(settings, has_token),
        rotate_secrets_days_before: Some(from.rotates_days_before).filter(|days| *days > 0),
        version: from.version,
        created_at: time::parse(&from.created_at),
        updated_at: time::parse(&from.updated_at),
        ..wire::settings(settings)
    }
}

#[cfg(test)]
mod tests {
    use portico_proto::rest::{EnumWords, Enumeration as _};
    use strum::VariantArray as _;

    use super::*;
    use crate::providers::DRIVERS;

    /// A driver is a file, a line in [`DRIVERS`], and the value in the contract by which callers choose it.
    #[test]
    fn types_and_methods_are_those_of_the_contract() {
        let words = |of: &EnumWords| -> Vec<&str> { of.words.iter().map(|one| one.word).collect() };
        let types: Vec<&str> = DRIVERS.iter().map(|(name, _)| *name).collect();
        assert_eq!(words(api::IdentityProviderType::words()), types);
        let methods: Vec<&str> = Method::VARIANTS.iter().map(|one| one.as_str()).collect();
        assert_eq!(words(api::RegistrationAuthorization::words()), methods);
    }
}
