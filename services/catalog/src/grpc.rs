//! The gRPC API: each method says first who may call it.

mod import;
mod plans;
mod products;

use std::collections::BTreeSet;

use portico_eventstore::{Aggregate, Context, EventStore, ExecuteError, Outcome, StoreError};
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
    /// Runs a command, at this version where it is not 0. A scope that belongs to another is named with its owner.
    async fn run<A: Aggregate>(
        &self,
        id: Uuid,
        version: u64,
        command: &A::Command,
        context: &Context,
        scopes: &BTreeSet<String>,
    ) -> Result<Outcome<A>, Error>
    where
        A::Rejection: Into<Error>,
    {
        let done = self.store.execute_at::<A>(id, version, command, context);
        match done.await {
            Ok(done) => Ok(done),
            Err(ExecuteError::Store(StoreError::Refused(SCOPE_TAKEN))) => {
                let pool = self.store.database().pool();
                let taken = scopes::taken(pool, id, scopes).await;
                Err(taken.unwrap_or_else(query_error))
            }
            Err(error) => Err(refuse(error)),
        }
    }
}

/// How often an update is merged anew when somebody else was faster.
const TRIES: u32 = 20;

/// Merges an update, and anew where another one came between and the caller expects no version.
async fn merging<T, F>(if_version: u64, update: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 1..TRIES {
        match update().await {
            Err(error) if if_version == 0 && error.code == "version_mismatch" => {}
            done => return done,
        }
    }
    update().await
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
