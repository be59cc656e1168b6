//! The methods of a gRPC service, from functions in the files of their subjects.

/// Implements the generated trait of a service: each method is the function of the same name in its subject's module,
/// which takes the service and the request. What else the trait needs stands in the braces of the first line.
///
/// ```ignore
/// portico_runtime::grpc_methods! {
///     impl CatalogService for Grpc {}
///     plans {
///         create_plan(CreatePlanRequest) -> Plan,
///     }
/// }
/// ```
#[macro_export]
macro_rules! grpc_methods {
    (
        impl $service:ident for $grpc:ident { $($more:item)* }
        $($subject:ident { $($method:ident($request:path) -> $answer:path,)+ })+
    ) => {
        #[tonic::async_trait]
        impl $service for $grpc {
            $($more)*

            $($(
                async fn $method(
                    &self,
                    request: tonic::Request<$request>,
                ) -> Result<tonic::Response<$answer>, tonic::Status> {
                    Ok(tonic::Response::new($subject::$method(self, request).await?))
                }
            )+)+
        }
    };
}
