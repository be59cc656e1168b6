//! Requests from outside. Every method is a function in the file of its subject, and begins with the rule of who
//! may call it.

mod api_keys;
mod client_types;
mod clients;
mod conformance;
mod drift;
mod gateways;
mod identity_providers;
mod orphans;
mod preview;
pub(crate) mod refusal;

use portico_eventstore::EventStore;
use portico_proto::registration::v1 as api;
use portico_runtime::Deps;
use portico_vault::Vault;
use tonic::{Request, Response, Status};

use crate::mapping::Mapper;
use crate::worker::Worker;

/// What the methods need. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Grpc {
    pub(crate) deps: Deps,
    pub(crate) store: EventStore,
    pub(crate) vault: Vault,
    pub(crate) mapper: Mapper,
    pub(crate) worker: Worker,
}

impl Grpc {
    pub(crate) fn new(deps: &Deps, store: &EventStore, vault: &Vault) -> Self {
        let mapper = Mapper::new(deps, store, vault);
        Self {
            worker: Worker::new(deps, store, vault, &mapper),
            deps: deps.clone(),
            store: store.clone(),
            vault: vault.clone(),
            mapper,
        }
    }
}

/// Implements the generated trait: each method is the function of the same name in its subject's file.
macro_rules! methods {
    ($($subject:ident { $($method:ident($request:ident) -> $answer:ident,)+ })+) => {
        #[tonic::async_trait]
        impl api::registration_service_server::RegistrationService for Grpc {
            $($(
                async fn $method(
                    &self,
                    request: Request<api::$request>,
                ) -> Result<Response<api::$answer>, Status> {
                    Ok(Response::new($subject::$method(self, request).await?))
                }
            )+)+
        }
    };
}

methods! {
    identity_providers {
        create_identity_provider(CreateIdentityProviderRequest) -> IdentityProvider,
        update_identity_provider(UpdateIdentityProviderRequest) -> IdentityProvider,
        delete_identity_provider(DeleteIdentityProviderRequest) -> DeleteIdentityProviderResponse,
        get_identity_provider(GetIdentityProviderRequest) -> IdentityProvider,
        list_identity_providers(ListIdentityProvidersRequest) -> ListIdentityProvidersResponse,
        check_identity_provider(CheckIdentityProviderRequest) -> CheckIdentityProviderResponse,
        set_secret_rotation(SetSecretRotationRequest) -> IdentityProvider,
    }
    client_types {
        create_client_type(CreateClientTypeRequest) -> ClientType,
        update_client_type(UpdateClientTypeRequest) -> ClientType,
        delete_client_type(DeleteClientTypeRequest) -> DeleteClientTypeResponse,
        get_client_type(GetClientTypeRequest) -> ClientType,
        list_client_types(ListClientTypesRequest) -> ListClientTypesResponse,
    }
    gateways {
        create_gateway(CreateGatewayRequest) -> Gateway,
        update_gateway(UpdateGatewayRequest) -> Gateway,
        delete_gateway(DeleteGatewayRequest) -> DeleteGatewayResponse,
        get_gateway(GetGatewayRequest) -> Gateway,
        list_gateways(ListGatewaysRequest) -> ListGatewaysResponse,
        simulate_gateway_call(SimulateGatewayCallRequest) -> SimulateGatewayCallResponse,
        list_gateway_contents(ListGatewayContentsRequest) -> ListGatewayContentsResponse,
        refresh_gateway_keys(RefreshGatewayKeysRequest) -> RefreshGatewayKeysResponse,
    }
    clients {
        list_oauth_clients(ListOauthClientsRequest) -> ListOauthClientsResponse,
        get_credentials(GetCredentialsRequest) -> GetCredentialsResponse,
        rotate_credentials(RotateCredentialsRequest) -> Credentials,
        end_old_secret(EndOldSecretRequest) -> EndOldSecretResponse,
        read_oauth_client(ReadOauthClientRequest) -> ReadOauthClientResponse,
        reissue_registration_token(ReissueRegistrationTokenRequest) -> OauthClient,
    }
    api_keys {
        list_api_keys(ListApiKeysRequest) -> ListApiKeysResponse,
        reveal_api_key(RevealApiKeyRequest) -> RevealApiKeyResponse,
        replace_api_key(ReplaceApiKeyRequest) -> ApiKey,
    }
    orphans {
        list_orphans(ListOrphansRequest) -> ListOrphansResponse,
        adopt_orphan(AdoptOrphanRequest) -> Orphan,
        delete_orphan(DeleteOrphanRequest) -> Orphan,
        dismiss_orphan(DismissOrphanRequest) -> Orphan,
    }
    conformance {
        start_conformance_check(StartConformanceCheckRequest) -> ConformanceCheck,
        get_conformance_check(GetConformanceCheckRequest) -> ConformanceCheck,
        retry_identity_provider(RetryIdentityProviderRequest) -> RetryIdentityProviderResponse,
    }
    drift {
        plan_drift(PlanDriftRequest) -> DriftReport,
        repair_drift(RepairDriftRequest) -> DriftReport,
    }
    preview {
        preview_registration(PreviewRegistrationRequest) -> PreviewRegistrationResponse,
    }
}
