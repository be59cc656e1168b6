//! Requests from outside. Every method is a function in the file of its subject, and begins with the rule of who
//! may call it.

mod client_types;
pub(crate) mod clients;
mod conformance;
mod drift;
mod identity_providers;
mod orphans;
mod preview;
pub(crate) mod refusal;

use portico_eventstore::sqlx::AnyPool;
use portico_eventstore::{Aggregate, Context, EventStore};
use portico_proto::{
    Error,
    operations::v1 as operations,
    registration::v1::{self as api, registration_service_server::RegistrationService},
    rest::Enumeration,
};
use portico_runtime::{Deps, Problems, parse_id, store_error};
use portico_vault::Vault;
use uuid::Uuid;

use crate::worker::Worker;

/// What the methods need. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Grpc {
    pub(crate) deps: Deps,
    pub(crate) store: EventStore,
    pub(crate) vault: Vault,
    pub(crate) worker: Worker,
}

impl Grpc {
    pub(crate) fn new(deps: &Deps, store: &EventStore, vault: &Vault) -> Self {
        Self {
            worker: Worker::new(deps, store, vault),
            deps: deps.clone(),
            store: store.clone(),
            vault: vault.clone(),
        }
    }

    async fn load<A: Aggregate>(&self, id: Uuid) -> Result<A, Error> {
        let loaded = self.store.load::<A>(id).await;
        Ok(loaded.map_err(store_error)?.state)
    }

    /// Records what a command leads to. `version`: the one that it must have; 0: whatever it has.
    async fn execute<A>(
        &self,
        id: Uuid,
        version: u64,
        command: &A::Command,
        context: &Context,
    ) -> Result<A, Error>
    where
        A: Aggregate,
        A::Rejection: std::error::Error + Into<Error>,
    {
        let done = self.store.execute_at::<A>(id, version, command, context);
        Ok(done.await.map_err(refusal::refuse)?.state)
    }

    fn pool(&self) -> &AnyPool {
        self.store.database().pool()
    }
}

/// The id of one of a list's things, where the list is narrowed down to it.
fn narrowed(field: &str, text: &str) -> Result<Option<Uuid>, Error> {
    match text {
        "" => Ok(None),
        id => parse_id(field, id).map(Some),
    }
}

/// The word of an enum's number; empty where nothing is said. A number without a value is noted.
fn word<E: Enumeration>(problems: &mut Problems, member: &str, number: i32) -> &'static str {
    if E::try_from(number).is_err() {
        let words: Vec<&str> = E::words().words.iter().map(|one| one.word).collect();
        let right = format!("`{member}` must be one of {}.", words.join(", "));
        problems.add(member, &format!("{member}_invalid"), right);
    }
    portico_proto::rest::word::<E>(number).unwrap_or_default()
}

portico_runtime::grpc_methods! {
    impl RegistrationService for Grpc {}

    identity_providers {
        create_identity_provider(api::CreateIdentityProviderRequest) -> api::IdentityProvider,
        update_identity_provider(api::UpdateIdentityProviderRequest) -> api::IdentityProvider,
        delete_identity_provider(api::DeleteIdentityProviderRequest) -> api::DeleteIdentityProviderResponse,
        get_identity_provider(api::GetIdentityProviderRequest) -> api::IdentityProvider,
        list_identity_providers(api::ListIdentityProvidersRequest) -> api::ListIdentityProvidersResponse,
        check_identity_provider(api::CheckIdentityProviderRequest) -> api::ConnectionCheck,
        set_secret_rotation(api::SetSecretRotationRequest) -> api::IdentityProvider,
    }
    client_types {
        create_client_type(api::CreateClientTypeRequest) -> api::ClientType,
        update_client_type(api::UpdateClientTypeRequest) -> api::ClientType,
        delete_client_type(api::DeleteClientTypeRequest) -> api::DeleteClientTypeResponse,
        get_client_type(api::GetClientTypeRequest) -> api::ClientType,
        list_client_types(api::ListClientTypesRequest) -> api::ListClientTypesResponse,
    }
    clients {
        list_oauth_clients(api::ListOauthClientsRequest) -> api::ListOauthClientsResponse,
        get_credentials(api::GetCredentialsRequest) -> api::GetCredentialsResponse,
        rotate_credentials(api::RotateCredentialsRequest) -> api::Credentials,
        end_old_secret(api::EndOldSecretRequest) -> api::EndOldSecretResponse,
        read_oauth_client(api::ReadOauthClientRequest) -> api::ClientAtProvider,
        reissue_registration_token(api::ReissueRegistrationTokenRequest) -> api::OauthClient,
    }
    orphans {
        list_orphans(api::ListOrphansRequest) -> api::ListOrphansResponse,
        find_orphans(api::FindOrphansRequest) -> api::FindOrphansResponse,
        adopt_orphan(api::AdoptOrphanRequest) -> api::Orphan,
        delete_orphan(api::DeleteOrphanRequest) -> api::Orphan,
        dismiss_orphan(api::DismissOrphanRequest) -> api::Orphan,
    }
    conformance {
        start_conformance_check(api::StartConformanceCheckRequest) -> api::ConformanceCheck,
        get_conformance_check(api::GetConformanceCheckRequest) -> api::ConformanceCheck,
        retry_identity_provider(api::RetryIdentityProviderRequest) -> api::RetryIdentityProviderResponse,
    }
    drift {
        plan_drift(operations::PlanDriftRequest) -> operations::DriftReport,
        repair_drift(operations::RepairDriftRequest) -> operations::DriftReport,
    }
    preview {
        preview_registration(api::PreviewRegistrationRequest) -> api::PreviewRegistrationResponse,
    }
}
