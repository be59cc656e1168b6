//! Catalog and registration services that know what a test tells them. They verify identities as the real ones do.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{Router, middleware};
use portico_proto::{
    Error,
    catalog::v1::{
        self as catalog, Plan, Product, ProductStatus,
        catalog_service_server::{CatalogService, CatalogServiceServer},
    },
    operations::v1::{DriftReport, PlanDriftRequest, RepairDriftRequest},
    registration::v1::{
        self as registration, ClientType,
        registration_service_server::{RegistrationService, RegistrationServiceServer},
    },
};
use portico_runtime::{Caller, IdentityKey, identity};
use tonic::{Request, Response, Status, service::Routes};

/// What both doubles know, by id. `away` makes every call fail.
#[derive(Clone, Default)]
pub(crate) struct World(Arc<Mutex<Known>>);

#[derive(Default)]
pub(crate) struct Known {
    pub(crate) products: HashMap<String, Product>,
    pub(crate) plans: HashMap<String, Plan>,
    pub(crate) client_types: HashMap<String, ClientType>,
    pub(crate) away: bool,
}

impl World {
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    fn get<M, T: Clone>(
        &self,
        request: &Request<M>,
        what: &str,
        get: impl FnOnce(&Known) -> Option<&T>,
    ) -> Result<Response<T>, Status> {
        Caller::of(request).require_known()?;
        let known = self.0.lock().unwrap();
        if known.away {
            return Err(Error::unavailable("store_unavailable", "Away.").into());
        }
        match get(&known) {
            Some(thing) => Ok(Response::new(thing.clone())),
            None => Err(Error::not_found(what).into()),
        }
    }

    pub(crate) fn catalog(&self, key: IdentityKey) -> Router {
        router(Routes::new(CatalogServiceServer::new(self.clone())), key)
    }

    pub(crate) fn registration(&self, key: IdentityKey) -> Router {
        router(
            Routes::new(RegistrationServiceServer::new(self.clone())),
            key,
        )
    }
}

fn router(routes: Routes, key: IdentityKey) -> Router {
    routes
        .prepare()
        .into_axum_router()
        .layer(middleware::from_fn_with_state(key, identity::verify))
}

/// Implements a generated trait: the methods given, and the others as not there. The attribute must see the
/// methods, so that the macro has to make the whole.
macro_rules! double {
    ($package:ident, $service:ident { $($given:tt)* } unused {
        $($method:ident($request:ident) -> $answer:ident,)+
    }) => {
        #[tonic::async_trait]
        impl $service for World {
            $($given)*
            $(
                async fn $method(
                    &self,
                    _: Request<$package::$request>,
                ) -> Result<Response<$package::$answer>, Status> {
                    Err(Status::unimplemented(stringify!($method)))
                }
            )+
        }
    };
}

double! { catalog, CatalogService {
    async fn get_product(
        &self,
        request: Request<catalog::GetProductRequest>,
    ) -> Result<Response<Product>, Status> {
        // As the real one: drafts are for those who see all.
        let sees_all = Caller::of(&request).sees_all();
        let id = &request.get_ref().id;
        self.get(&request, "product", |known| {
            known
                .products
                .get(id)
                .filter(|product| sees_all || product.status() == ProductStatus::Published)
        })
    }

    async fn get_plan(
        &self,
        request: Request<catalog::GetPlanRequest>,
    ) -> Result<Response<Plan>, Status> {
        let id = &request.get_ref().id;
        self.get(&request, "plan", |known| known.plans.get(id))
    }

} unused {
        create_product(CreateProductRequest) -> Product,
        update_product(UpdateProductRequest) -> Product,
        publish_product(PublishProductRequest) -> Product,
        unpublish_product(UnpublishProductRequest) -> Product,
        delete_product(DeleteProductRequest) -> DeleteProductResponse,
        list_products(ListProductsRequest) -> ListProductsResponse,
        create_plan(CreatePlanRequest) -> Plan,
        update_plan(UpdatePlanRequest) -> Plan,
        delete_plan(DeletePlanRequest) -> DeletePlanResponse,
        list_plans(ListPlansRequest) -> ListPlansResponse,
        preview_gateway_import(PreviewGatewayImportRequest) -> GatewayImport,
        import_from_gateway(ImportFromGatewayRequest) -> GatewayImport,
} }

double! { registration, RegistrationService {
    async fn get_client_type(
        &self,
        request: Request<registration::GetClientTypeRequest>,
    ) -> Result<Response<ClientType>, Status> {
        let id = &request.get_ref().id;
        self.get(&request, "client type", |known| known.client_types.get(id))
    }

    async fn plan_drift(
        &self,
        _: Request<PlanDriftRequest>,
    ) -> Result<Response<DriftReport>, Status> {
        Err(Status::unimplemented("plan_drift"))
    }

    async fn repair_drift(
        &self,
        _: Request<RepairDriftRequest>,
    ) -> Result<Response<DriftReport>, Status> {
        Err(Status::unimplemented("repair_drift"))
    }
} unused {
        create_identity_provider(CreateIdentityProviderRequest) -> IdentityProvider,
        update_identity_provider(UpdateIdentityProviderRequest) -> IdentityProvider,
        delete_identity_provider(DeleteIdentityProviderRequest) -> DeleteIdentityProviderResponse,
        get_identity_provider(GetIdentityProviderRequest) -> IdentityProvider,
        list_identity_providers(ListIdentityProvidersRequest) -> ListIdentityProvidersResponse,
        check_identity_provider(CheckIdentityProviderRequest) -> ConnectionCheck,
        create_client_type(CreateClientTypeRequest) -> ClientType,
        update_client_type(UpdateClientTypeRequest) -> ClientType,
        delete_client_type(DeleteClientTypeRequest) -> DeleteClientTypeResponse,
        list_client_types(ListClientTypesRequest) -> ListClientTypesResponse,
        list_oauth_clients(ListOauthClientsRequest) -> ListOauthClientsResponse,
        get_credentials(GetCredentialsRequest) -> GetCredentialsResponse,
        rotate_credentials(RotateCredentialsRequest) -> Credentials,
        end_old_secret(EndOldSecretRequest) -> EndOldSecretResponse,
        preview_registration(PreviewRegistrationRequest) -> PreviewRegistrationResponse,
        list_orphans(ListOrphansRequest) -> ListOrphansResponse,
        read_oauth_client(ReadOauthClientRequest) -> ClientAtProvider,
        reissue_registration_token(ReissueRegistrationTokenRequest) -> OauthClient,
        adopt_orphan(AdoptOrphanRequest) -> Orphan,
        delete_orphan(DeleteOrphanRequest) -> Orphan,
        dismiss_orphan(DismissOrphanRequest) -> Orphan,
        retry_identity_provider(RetryIdentityProviderRequest) -> RetryIdentityProviderResponse,
        find_orphans(FindOrphansRequest) -> FindOrphansResponse,
        set_secret_rotation(SetSecretRotationRequest) -> IdentityProvider,
        start_conformance_check(StartConformanceCheckRequest) -> ConformanceCheck,
        get_conformance_check(GetConformanceCheckRequest) -> ConformanceCheck,
} }
