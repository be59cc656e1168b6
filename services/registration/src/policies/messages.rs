//! What is in the messages. One that cannot be read is poison: it is parked with the reason.

use portico_eventstore::consumer::PolicyError;
use portico_proto::access::v1 as access;
use portico_runtime::messages::id;
use uuid::Uuid;

use crate::application::Application;
use crate::oauth_client::{Access, Requested};

/// The identity provider and the client type.
pub(super) fn credential(
    credential: &access::OauthClientCredential,
) -> Result<(Uuid, Uuid), PolicyError> {
    Ok((
        id("identity_provider_id", &credential.identity_provider_id)?,
        id("client_type_id", &credential.client_type_id)?,
    ))
}

/// `None` where the request is for API keys.
pub(super) fn requested(
    wanted: access::WantedAccess,
    as_of: i64,
    retried: bool,
) -> Result<Option<Requested>, PolicyError> {
    use access::wanted_access::{Credential, State};
    let access = match wanted.state() {
        State::Granted => Access::Granted,
        State::Suspended => Access::Suspended,
        State::Revoked => Access::Revoked,
        State::Unspecified => {
            return Err(PolicyError::Poison("state is missing".into()));
        }
    };
    let (provider, client_type_id) = match &wanted.credential {
        Some(Credential::OauthClient(oauth_client)) => credential(oauth_client)?,
        Some(Credential::ApiKey(_)) => return Ok(None),
        None => return Err(PolicyError::Poison("credential is missing".into())),
    };
    let scopes = wanted
        .items
        .into_iter()
        .flat_map(|item| item.product_scopes.into_iter().chain(item.plan_scopes));
    Ok(Some(Requested {
        request_id: id("request_id", &wanted.request_id)?,
        revision: wanted.revision,
        access,
        application_id: id("application_id", &wanted.application_id)?,
        identity_provider_id: provider,
        client_type_id,
        requester_id: wanted.requester_id,
        application: Application {
            profile: id("profile_id", &wanted.profile_id)?,
            as_of,
            suspended: wanted.application_suspended,
            erased: wanted.application_erased,
        },
        scopes: scopes.collect(),
        retried,
    }))
}
