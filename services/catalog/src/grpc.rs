//! The gRPC API: each method says first who may call it.

mod import;
mod plans;
mod products;

use std::collections::BTreeSet;

use portico_eventstore::{EventStore, ExecuteError, StoreError};
use portico_proto::{
    Error,
    catalog::v1::{catalog_service_server::CatalogService, *},
};
use portico_runtime::{Deps, query_error, refuse};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::views::scopes::{self, SCOPE_TAKEN};

/// The catalogue's methods.
pub(crate) struct Grpc {
    pub(crate) deps: Deps,
    pub(crate) store: EventStore,
}

impl Grpc {
    /// As [`refuse`]; a scope that belongs to another is named with its owner.
    async fn refuse<R>(&self, error: ExecuteError<R>, id: Uuid, scopes: &BTreeSet<String>) -> Error
    where
        R: std::error::Error + Into<Error>,
    {
        if !matches!(error, ExecuteError::Store(StoreError::Refused(SCOPE_TAKEN))) {
            return refuse(error);
        }
        scopes::taken(self.store.database().pool(), id, scopes)
            .await
            .unwrap_or_else(query_error)
    }
}

/// How often an update is merged anew when somebody else was faster.
const TRIES: u32 = 20;

/// Whether to merge an update anew: another one came between, and the caller expects no version.
fn again(error: &Error, if_version: u64, tries: &mut u32) -> bool {
    *tries += 1;
    if_version == 0 && error.code == "version_mismatch" && *tries < TRIES
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl CatalogService for Grpc {
    async fn create_product(&self, request: Request<CreateProductRequest>) -> Answer<Product> {
        Ok(Response::new(products::create(self, request).await?))
    }

    async fn update_product(&self, request: Request<UpdateProductRequest>) -> Answer<Product> {
        Ok(Response::new(products::update(self, request).await?))
    }

    async fn publish_product(&self, request: Request<PublishProductRequest>) -> Answer<Product> {
        Ok(Response::new(products::publish(self, request).await?))
    }

    async fn unpublish_product(
        &self,
        request: Request<UnpublishProductRequest>,
    ) -> Answer<Product> {
        Ok(Response::new(products::unpublish(self, request).await?))
    }

    async fn delete_product(
        &self,
        request: Request<DeleteProductRequest>,
    ) -> Answer<DeleteProductResponse> {
        products::delete(self, request).await?;
        Ok(Response::new(DeleteProductResponse {}))
    }

    async fn get_product(&self, request: Request<GetProductRequest>) -> Answer<Product> {
        Ok(Response::new(products::get(self, request).await?))
    }

    async fn list_products(
        &self,
        request: Request<ListProductsRequest>,
    ) -> Answer<ListProductsResponse> {
        Ok(Response::new(products::list(self, request).await?))
    }

    async fn create_plan(&self, request: Request<CreatePlanRequest>) -> Answer<Plan> {
        Ok(Response::new(plans::create(self, request).await?))
    }

    async fn update_plan(&self, request: Request<UpdatePlanRequest>) -> Answer<Plan> {
        Ok(Response::new(plans::update(self, request).await?))
    }

    async fn delete_plan(&self, request: Request<DeletePlanRequest>) -> Answer<DeletePlanResponse> {
        plans::delete(self, request).await?;
        Ok(Response::new(DeletePlanResponse {}))
    }

    async fn get_plan(&self, request: Request<GetPlanRequest>) -> Answer<Plan> {
        Ok(Response::new(plans::get(self, request).await?))
    }

    async fn list_plans(&self, request: Request<ListPlansRequest>) -> Answer<ListPlansResponse> {
        Ok(Response::new(plans::list(self, request).await?))
    }

    async fn preview_gateway_import(
        &self,
        request: Request<PreviewGatewayImportRequest>,
    ) -> Answer<GatewayImport> {
        Ok(Response::new(import::preview(self, request).await?))
    }

    async fn import_from_gateway(
        &self,
        request: Request<ImportFromGatewayRequest>,
    ) -> Answer<GatewayImport> {
        Ok(Response::new(import::import(self, request).await?))
    }
}
