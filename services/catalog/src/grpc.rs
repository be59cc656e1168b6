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

portico_runtime::grpc_methods! {
    impl CatalogService for Grpc {}

    products {
        create_product(CreateProductRequest) -> Product,
        update_product(UpdateProductRequest) -> Product,
        publish_product(PublishProductRequest) -> Product,
        unpublish_product(UnpublishProductRequest) -> Product,
        delete_product(DeleteProductRequest) -> DeleteProductResponse,
        get_product(GetProductRequest) -> Product,
        list_products(ListProductsRequest) -> ListProductsResponse,
    }
    plans {
        create_plan(CreatePlanRequest) -> Plan,
        update_plan(UpdatePlanRequest) -> Plan,
        delete_plan(DeletePlanRequest) -> DeletePlanResponse,
        get_plan(GetPlanRequest) -> Plan,
        list_plans(ListPlansRequest) -> ListPlansResponse,
    }
    import {
        preview_gateway_import(PreviewGatewayImportRequest) -> GatewayImport,
        import_from_gateway(ImportFromGatewayRequest) -> GatewayImport,
    }
}
