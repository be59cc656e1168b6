//! A catalogue to call, and who calls it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, routing::post};
use portico_bus::MemoryBus;
use portico_eventstore::EventStore;
use portico_proto::{
    Error,
    access::v1::{
        AccessRequest, AccessRequestStatus, ListAccessRequestsRequest, ListAccessRequestsResponse,
    },
    catalog::v1::{catalog_service_client::CatalogServiceClient, *},
    registration::v1::{
        ClientType, ClientTypeStatus, ListClientTypesRequest, ListClientTypesResponse,
    },
    rest::FieldMask,
};
use portico_runtime::{
    Caller, Channels, Clock, Config, Deps, IdentityKey, Outgoing, Role, ServiceChannel, ServiceName,
};
use portico_vault::{Kek, KekRing};
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use uuid::Uuid;

/// The only client type that the double of the registration service knows.
pub(crate) const CLIENT_TYPE: Uuid = Uuid::from_u128(0xC11E);
/// One that is deleted there.
pub(crate) const DELETED_CLIENT_TYPE: Uuid = Uuid::from_u128(0xDE1);

/// Ids of products, as text.
pub(crate) type Wanted = Arc<Mutex<BTreeSet<String>>>;

pub(crate) struct App {
    pub(crate) deps: Deps,
    pub(crate) store: EventStore,
    /// Products that the double of the access-request service has a pending request for.
    pub(crate) wanted: Wanted,
    _folder: TempDir,
}

impl App {
    pub(crate) async fn start() -> Self {
        let app = Self::start_without_registration().await;
        app.deps
            .channels
            .provide(ServiceName::Registration, registration());
        app
    }

    pub(crate) async fn start_without_registration() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let (kek, _) = Kek::load_or_generate(folder.path()).unwrap();
        let config =
            Config::from_parts(None, [("PORTICO_DATA_DIR", folder.path().as_os_str())]).unwrap();
        let deps = Deps {
            outgoing: Outgoing::new(config.outgoing.clone()),
            config: Arc::new(config),
            bus: Arc::new(MemoryBus::new()),
            channels: Channels::local(),
            identity: IdentityKey::new(&kek.derive("identity"), clock.clone()),
            kek: KekRing::new(kek, []),
            process: clock.new_id(),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            clock,
        };
        let mut service = portico_catalog::start(&deps).await.unwrap();
        deps.channels
            .provide(ServiceName::Catalog, service.router.clone());
        let wanted = Wanted::default();
        deps.channels.provide(
            ServiceName::AccessRequest,
            access_requests(Arc::clone(&wanted)),
        );
        deps.bus.declare(&[super::events::SPEC]).await.unwrap();
        service.declare(&deps).await.unwrap();
        service.run(&deps);
        Self {
            deps,
            store: service.store,
            wanted,
            _folder: folder,
        }
    }

    pub(crate) fn client(&self) -> CatalogServiceClient<ServiceChannel> {
        CatalogServiceClient::new(self.deps.channels.to(ServiceName::Catalog))
    }

    pub(crate) fn request<T>(&self, caller: &Caller, message: T) -> Request<T> {
        self.deps.identity.request(caller, message)
    }

    pub(crate) async fn create(&self, product: Product) -> Result<Product, Error> {
        let request = self.request(&admin(), creation(product));
        answer(self.client().create_product(request).await)
    }

    /// Changes the members of the mask.
    pub(crate) async fn update(
        &self,
        id: &str,
        mask: &[&str],
        product: Product,
    ) -> Result<Product, Error> {
        let message = UpdateProductRequest {
            id: id.to_owned(),
            if_version: 0,
            product: Some(product),
            update_mask: Some(members(mask)),
        };
        let request = self.request(&admin(), message);
        answer(self.client().update_product(request).await)
    }

    pub(crate) async fn publish(&self, id: &str) -> Result<Product, Error> {
        let request = self.request(&admin(), PublishProductRequest { id: id.into() });
        answer(self.client().publish_product(request).await)
    }

    pub(crate) async fn delete(&self, id: &str) -> Result<DeleteProductResponse, Error> {
        let message = DeleteProductRequest {
            id: id.into(),
            if_version: 0,
        };
        let request = self.request(&admin(), message);
        answer(self.client().delete_product(request).await)
    }

    pub(crate) async fn get(&self, caller: &Caller, id: &str) -> Result<Product, Error> {
        let request = self.request(caller, GetProductRequest { id: id.into() });
        answer(self.client().get_product(request).await)
    }

    pub(crate) async fn list(
        &self,
        caller: &Caller,
        message: ListProductsRequest,
    ) -> Result<ListProductsResponse, Error> {
        let request = self.request(caller, message);
        answer(self.client().list_products(request).await)
    }

    pub(crate) async fn create_plan(&self, plan: Plan) -> Result<Plan, Error> {
        let message = CreatePlanRequest { plan: Some(plan) };
        let request = self.request(&admin(), message);
        answer(self.client().create_plan(request).await)
    }

    /// Changes the members of the mask.
    pub(crate) async fn update_plan(
        &self,
        id: &str,
        mask: &[&str],
        plan: Plan,
    ) -> Result<Plan, Error> {
        let message = UpdatePlanRequest {
            id: id.to_owned(),
            if_version: 0,
            plan: Some(plan),
            update_mask: Some(members(mask)),
        };
        let request = self.request(&admin(), message);
        answer(self.client().update_plan(request).await)
    }

    pub(crate) async fn get_plan(&self, caller: &Caller, id: &str) -> Result<Plan, Error> {
        let request = self.request(caller, GetPlanRequest { id: id.into() });
        answer(self.client().get_plan(request).await)
    }
}

pub(crate) fn answer<T>(result: Result<Response<T>, Status>) -> Result<T, Error> {
    result.map(Response::into_inner).map_err(Error::from)
}

pub(crate) fn admin() -> Caller {
    Caller::User {
        id: Uuid::from_u128(1),
        role: Role::Admin,
        let_in: false,
    }
}

pub(crate) fn developer() -> Caller {
    Caller::User {
        id: Uuid::from_u128(2),
        role: Role::Developer,
        let_in: false,
    }
}

/// A developer whom an admin has let in.
pub(crate) fn let_in() -> Caller {
    Caller::User {
        id: Uuid::from_u128(3),
        role: Role::Developer,
        let_in: true,
    }
}

/// A field mask.
pub(crate) fn members(names: &[&str]) -> FieldMask {
    FieldMask {
        paths: names.iter().map(ToString::to_string).collect(),
    }
}

pub(crate) fn creation(product: Product) -> CreateProductRequest {
    CreateProductRequest {
        product: Some(product),
    }
}

/// A product that may be published.
pub(crate) fn payments() -> Product {
    Product {
        name: "Payments".into(),
        description: "Send and receive money.".into(),
        dcr_enabled: true,
        scopes: vec!["product_payments".into()],
        client_type_ids: vec![CLIENT_TYPE.to_string()],
        visibility: Visibility::Public.into(),
        tags: vec!["Money".into()],
        apis: vec![Api {
            mapping: Some(ApiMapping {
                api_id: "payments".into(),
                gateway_id: None,
            }),
            name: "Payments API".into(),
            url: "https://gateway.example.com/payments/".into(),
        }],
        documentation: "# Payments".into(),
        ..Product::default()
    }
}

/// A product without registration.
pub(crate) fn plain(name: &str, tags: &[&str]) -> Product {
    Product {
        name: name.into(),
        tags: tags.iter().map(ToString::to_string).collect(),
        ..Product::default()
    }
}

pub(crate) fn free_plan() -> Plan {
    Plan {
        name: "Free".into(),
        scopes: vec!["free_plan".into()],
        rate: Some(Rate {
            requests: 10,
            per_seconds: 1,
        }),
        ..Plan::default()
    }
}

pub(crate) fn fields(error: &Error) -> Vec<(&str, &str)> {
    error
        .fields
        .iter()
        .map(|f| (f.field.as_str(), f.code.as_str()))
        .collect()
}

/// Answers `ListClientTypes` to services, and nothing else.
fn registration() -> Router {
    let list = |request: axum::http::Request<Body>| async move {
        let method = tower::service_fn(|request: Request<ListClientTypesRequest>| async move {
            assert!(
                request
                    .metadata()
                    .contains_key(portico_runtime::identity::HEADER),
                "asked without an identity"
            );
            let known = [
                (CLIENT_TYPE, ClientTypeStatus::Active),
                (DELETED_CLIENT_TYPE, ClientTypeStatus::Deleted),
            ];
            let client_types = known
                .iter()
                .filter(|(id, _)| request.get_ref().ids.contains(&id.to_string()))
                .map(|(id, status)| ClientType {
                    id: id.to_string(),
                    status: (*status).into(),
                    ..ClientType::default()
                })
                .collect();
            Ok::<_, Status>(Response::new(ListClientTypesResponse {
                client_types,
                next: String::new(),
            }))
        });
        tonic::server::Grpc::new(ProstCodec::<ListClientTypesResponse, _>::default())
            .unary(method, request)
            .await
    };
    Router::new().route(
        "/portico.registration.v1.RegistrationService/ListClientTypes",
        post(list),
    )
}

/// Answers `ListAccessRequests` of one product or plan and one status, and nothing else.
fn access_requests(wanted: Wanted) -> Router {
    let list = async move |request: axum::http::Request<Body>| {
        let method = tower::service_fn(move |request: Request<ListAccessRequestsRequest>| {
            let asked = request.into_inner();
            let pending = asked.status() == AccessRequestStatus::Pending;
            let subject = match asked.plan_id.is_empty() {
                true => asked.product_id,
                false => asked.plan_id,
            };
            let there = pending && wanted.lock().unwrap().contains(&subject);
            let access_requests = there.then(AccessRequest::default).into_iter().collect();
            std::future::ready(Ok::<_, Status>(Response::new(ListAccessRequestsResponse {
                access_requests,
                next: String::new(),
            })))
        });
        tonic::server::Grpc::new(ProstCodec::<ListAccessRequestsResponse, _>::default())
            .unary(method, request)
            .await
    };
    Router::new().route(
        "/portico.access.v1.AccessService/ListAccessRequests",
        post(list),
    )
}

/// How long a test waits for what happens in the background.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
