//! Where Keycloak is asked, and how its answers are read.

use portico_vault::Secret;
use serde_json::{Map, Value};
use url::Url;

use super::representation;
use crate::providers::client::{KnownClient, RegisteredClient};
use crate::providers::credentials;
use crate::providers::discovery::Endpoints;
use crate::providers::failure::{Bearer, Disposition, Failure, Result, refusal};
use crate::providers::metadata::Metadata;
use crate::providers::rfc7591::object_of;
use crate::providers::session::{RawAnswer, Step};

/// `clients-registrations/{dialect}`; the well-known document names the one of OpenID Connect.
pub(super) fn collection(endpoints: &Endpoints, dialect: &str) -> Url {
    let mut url = endpoints.registration_endpoint.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().pop().push(dialect);
    }
    url
}

pub(super) fn member(endpoints: &Endpoints, dialect: &str, client_id: &str) -> Url {
    let mut url = collection(endpoints, dialect);
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.push(client_id);
    }
    url
}

/// `/admin/realms/R/clients`.
pub(super) fn admin_clients(endpoints: &Endpoints) -> Option<Url> {
    let (base, realm) = endpoints.issuer.rsplit_once("/realms/")?;
    Url::parse(&format!("{base}/admin/realms/{realm}/clients")).ok()
}

pub(super) fn parse(endpoints: &Endpoints, answer: &RawAnswer) -> Result<RegisteredClient> {
    if !answer.is_success() {
        let bearer = match answer.step {
            Step::Register => Bearer::Initial,
            _ => Bearer::Registration,
        };
        return Err(refused(answer, bearer));
    }
    let members = object_of(answer)?;
    let client_id = credentials::client_id(answer, &members, "clientId")?;
    let takes_secret = !matches!(answer.step, Step::Read | Step::Reissue);
    let secret = credentials::secret(answer, &members, "secret")?;
    let granted = representation::members(&members);
    Ok(RegisteredClient {
        client_secret: secret.filter(|_| takes_secret),
        registration_access_token: credentials::secret(
            answer,
            &members,
            "registrationAccessToken",
        )?,
        registration_client_uri: Some(member(endpoints, "default", &client_id)),
        granted: credentials::metadata(answer, granted),
        marker: representation::marker(&members),
        client_id,
        ..RegisteredClient::default()
    })
}

/// Somebody else has given the client another secret than the stored one. Keycloak shows it in clear.
pub(super) fn has_another_secret(client: &KnownClient, found: &Map<String, Value>) -> bool {
    let Some(known) = &client.client_secret else {
        return false;
    };
    let found = found.get("secret").and_then(Value::as_str);
    let is_masked = |found: &str| found.bytes().all(|byte| byte == b'*');
    found.is_some_and(|found| !is_masked(found) && found != known.expose())
}

/// As [`refusal`], less what Keycloak says in other words: `insufficient_scope`
/// stands for any policy that refused, and for missing roles.
pub(super) fn refused(answer: &RawAnswer, bearer: Bearer) -> Failure {
    let failure = refusal(answer, bearer);
    let about_scopes = failure
        .description
        .to_lowercase()
        .replace(' ', "")
        .contains("clientscope");
    if failure.code != "scope_unknown_at_provider" || about_scopes {
        return failure;
    }
    match bearer {
        // An authorization header that it cannot read is none at all to it.
        Bearer::Initial if failure.description.contains("Host not trusted") => {
            failure.with(Disposition::PauseProvider, "initial_access_token_refused")
        }
        Bearer::Management => {
            failure.with(Disposition::Unmanageable, "management_credentials_refused")
        }
        _ => failure.with(Disposition::Fail, "registration_policy_refused"),
    }
}

/// Keycloak says so in words only; the error code is that of any bad metadata.
pub(super) fn is_in_use(answer: &RawAnswer) -> bool {
    matches!(answer.status, 400 | 409)
        && String::from_utf8_lossy(&answer.body).contains("Client Identifier in use")
}

/// A client that is there, but cannot be read.
pub(super) fn unread(
    endpoints: &Endpoints,
    client_id: &str,
    secret: Option<&Secret>,
    granted: Metadata,
) -> RegisteredClient {
    RegisteredClient {
        client_id: client_id.to_owned(),
        client_secret: secret.cloned(),
        registration_client_uri: Some(member(endpoints, "default", client_id)),
        granted,
        warnings: vec![
            "the registration access token got lost: the client works, but it cannot be managed \
             until the provider has management credentials"
                .into(),
        ],
        ..RegisteredClient::default()
    }
}
