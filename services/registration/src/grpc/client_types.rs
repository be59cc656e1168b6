//! Client types.

use portico_proto::{Error, registration::v1 as api};
use tonic::Request;

use super::Grpc;

pub(crate) async fn create_client_type(
    _grpc: &Grpc,
    _request: Request<api::CreateClientTypeRequest>,
) -> Result<api::ClientType, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}

pub(crate) async fn update_client_type(
    _grpc: &Grpc,
    _request: Request<api::UpdateClientTypeRequest>,
) -> Result<api::ClientType, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}

pub(crate) async fn delete_client_type(
    _grpc: &Grpc,
    _request: Request<api::DeleteClientTypeRequest>,
) -> Result<api::DeleteClientTypeResponse, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}

pub(crate) async fn get_client_type(
    _grpc: &Grpc,
    _request: Request<api::GetClientTypeRequest>,
) -> Result<api::ClientType, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}

pub(crate) async fn list_client_types(
    _grpc: &Grpc,
    _request: Request<api::ListClientTypesRequest>,
) -> Result<api::ListClientTypesResponse, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}
