//! Settings and rows as the gRPC API shows them.

use jiff::Timestamp;
use portico_proto::registration::v1 as api;
use portico_proto::rest::Enumeration;
use portico_proto::time;

use crate::client_type::Definition;
use crate::identity_provider::{IN_BODY, Method, Settings};

/// The number of a word that views and events keep; 0 for one that the contract does not have.
pub(crate) fn word<E: Enumeration + Default>(text: &str) -> i32 {
    E::from_word(text).unwrap_or_default().into()
}

/// `None` where there is nothing to say.
pub(crate) fn given(text: impl Into<String>) -> Option<String> {
    Some(text.into()).filter(|text| !text.is_empty())
}

/// Unix seconds; `None` for 0, which is "never" in RFC 7591 section 3.2.1.
pub(crate) fn expiry(seconds: u64) -> Option<time::Timestamp> {
    let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
    Timestamp::from_second(seconds).ok().map(time::to_proto)
}

/// What callers may write of a provider; its secrets stay in the vault.
pub(crate) fn settings(from: &Settings) -> api::IdentityProvider {
    let (location, options) = (&from.location, &from.options);
    let overridden = &location.endpoints.registration_endpoint_override;
    let managed = from.management.as_ref();
    // What another version has stored is spoken to as "other".
    let kind = api::IdentityProviderType::from_word(from.kind.as_str());
    let in_body = match options.management_in_body {
        true => IN_BODY,
        false => "client_secret_basic",
    };
    api::IdentityProvider {
        name: from.name.clone(),
        r#type: kind.unwrap_or(api::IdentityProviderType::Other).into(),
        well_known_url: location.well_known_url.clone(),
        scope_claim: from.scope_claim.clone(),
        skip_tls_verify: location.skip_tls_verify,
        trusted_certificates: given(&location.trusted_certificates),
        allowed_origins: location.endpoints.allowed_origins.clone(),
        registration_endpoint_override: overridden.clone().map(Into::into),
        authorization: from.authorization.map(authorization),
        management_client_id: managed.map(|stored| stored.client_id.clone()),
        management_auth_method: (managed.is_some() || options.management_in_body)
            .then(|| word::<api::TokenEndpointAuthMethod>(in_body)),
        management_scope: given(&options.management_scope),
        management_audience: given(&options.management_audience),
        api_audience: given(&options.api_audience),
        client_template: given(&options.client_template),
        ..api::IdentityProvider::default()
    }
}

pub(crate) fn authorization(method: Method) -> i32 {
    word::<api::RegistrationAuthorization>(method.as_str())
}

/// What callers may write of a client type.
pub(crate) fn client_type(from: &Definition) -> api::ClientType {
    let okta = api::OktaApplicationType::from_word(&from.okta_application_type);
    api::ClientType {
        name: from.name.clone(),
        description: from.description.clone(),
        response_types: from.response_types.iter().cloned().collect(),
        grant_types: from.grant_types.iter().cloned().collect(),
        token_endpoint_auth_method: word::<api::TokenEndpointAuthMethod>(
            &from.token_endpoint_auth_method,
        ),
        okta_application_type: okta.map(Into::into),
        ..api::ClientType::default()
    }
}
