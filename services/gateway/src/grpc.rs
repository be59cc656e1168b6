//! Requests from outside. Every method is a function in the file of its subject, and begins with the rule of who
//! may call it.

mod api_keys;
mod application;
mod drift;
mod gateways;
mod held_scopes;
mod preview;
mod refusal;

use portico_eventstore::{Aggregate, EventStore};
use portico_proto::Error;
use portico_proto::gateway::v1::{gateway_service_server::GatewayService, *};
use portico_proto::operations::v1::{DriftReport, PlanDriftRequest, RepairDriftRequest};
use portico_runtime::{Deps, store_error};
use portico_vault::Vault;
use uuid::Uuid;

use crate::worker::mapper::Mapper;

/// What the methods need. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Grpc {
    pub(crate) deps: Deps,
    pub(crate) store: EventStore,
    pub(crate) vault: Vault,
    pub(crate) mapper: Mapper,
}

impl Grpc {
    pub(crate) fn new(deps: &Deps, store: &EventStore, vault: &Vault) -> Self {
        Self {
            mapper: Mapper::new(deps, store, vault),
            deps: deps.clone(),
            store: store.clone(),
            vault: vault.clone(),
        }
    }

    async fn load<A: Aggregate>(&self, id: Uuid) -> Result<A, Error> {
        let loaded = self.store.load::<A>(id).await;
        Ok(loaded.map_err(store_error)?.state)
    }
}

portico_runtime::grpc_methods! {
    impl GatewayService for Grpc {}

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
    api_keys {
        list_api_keys(ListApiKeysRequest) -> ListApiKeysResponse,
        reveal_api_key(RevealApiKeyRequest) -> RevealApiKeyResponse,
        replace_api_key(ReplaceApiKeyRequest) -> ApiKey,
    }
    held_scopes {
        list_held_scopes(ListHeldScopesRequest) -> ListHeldScopesResponse,
        release_held_scope(ReleaseHeldScopeRequest) -> ReleaseHeldScopeResponse,
    }
    preview {
        preview_mapping(PreviewMappingRequest) -> PreviewMappingResponse,
    }
    drift {
        plan_drift(PlanDriftRequest) -> DriftReport,
        repair_drift(RepairDriftRequest) -> DriftReport,
    }
}
