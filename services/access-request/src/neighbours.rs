//! Questions to the catalog and registration services.

use std::{future::Future, time::Duration};

use portico_proto::{
    Error, Kind,
    catalog::v1::{
        GetPlanRequest, GetProductRequest, Plan, PlanStatus, Product, ProductStatus,
        catalog_service_client::CatalogServiceClient,
    },
    registration::v1::{
        ClientType, ClientTypeStatus, GetClientTypeRequest,
        registration_service_client::RegistrationServiceClient,
    },
};
use portico_runtime::{
    Caller, Deps, IdentityKey, ServiceChannel, ServiceName, service_unavailable,
};
use tonic::{Response, Status};
use uuid::Uuid;

/// A service that does not answer within this time is away.
const DEADLINE: Duration = Duration::from_secs(10);

/// Clients of the other services. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Neighbours {
    catalog: CatalogServiceClient<ServiceChannel>,
    registration: RegistrationServiceClient<ServiceChannel>,
    identity: IdentityKey,
}

impl Neighbours {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            catalog: CatalogServiceClient::new(deps.channels.to(ServiceName::Catalog)),
            registration: RegistrationServiceClient::new(
                deps.channels.to(ServiceName::Registration),
            ),
            identity: deps.identity.clone(),
        }
    }

    /// A product as the caller may see it; `None` where there is none for them.
    pub(crate) async fn product(
        &self,
        caller: &Caller,
        id: Uuid,
    ) -> Result<Option<Product>, Error> {
        let request = GetProductRequest { id: id.to_string() };
        let mut client = self.catalog.clone();
        let call = client.get_product(self.identity.request(caller, request));
        let product = ask(ServiceName::Catalog, call).await?;
        Ok(product.filter(|product| product.status() != ProductStatus::Deleted))
    }

    /// A plan that was not deleted.
    pub(crate) async fn plan(&self, caller: &Caller, id: Uuid) -> Result<Option<Plan>, Error> {
        let request = GetPlanRequest { id: id.to_string() };
        let mut client = self.catalog.clone();
        let call = client.get_plan(self.identity.request(caller, request));
        let plan = ask(ServiceName::Catalog, call).await?;
        Ok(plan.filter(|plan| plan.status() != PlanStatus::Deleted))
    }

    /// A client type that was not deleted.
    pub(crate) async fn client_type(
        &self,
        caller: &Caller,
        id: Uuid,
    ) -> Result<Option<ClientType>, Error> {
        let request = GetClientTypeRequest { id: id.to_string() };
        let mut client = self.registration.clone();
        let call = client.get_client_type(self.identity.request(caller, request));
        let answer = ask(ServiceName::Registration, call).await?;
        Ok(answer.filter(|client_type| client_type.status() != ClientTypeStatus::Deleted))
    }
}

async fn ask<T>(
    service: ServiceName,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<Option<T>, Error> {
    let answer = tokio::time::timeout(DEADLINE, call)
        .await
        .map_err(|_| service_unavailable(service))?;
    match answer.map_err(Error::from) {
        Ok(response) => Ok(Some(response.into_inner())),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
