//! Gateways.

use portico_proto::{Error, registration::v1 as api};
use tonic::Request;

use super::Grpc;

pub(crate) async fn create_gateway(
    _grpc: &Grpc,
    _request: Request<api::CreateGatewayRequest>,
) -> Result<api::Gateway, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}

pub(crate) async fn update_gateway(
    _grpc: &Grpc,
    _request: Request<api::UpdateGatewayRequest>,
) -> Result<api::Gateway, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}

pub(crate) async fn delete_gateway(
    _grpc: &Grpc,
    _request: Request<api::DeleteGatewayRequest>,
) -> Result<api::DeleteGatewayResponse, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}

pub(crate) async fn get_gateway(
    _grpc: &Grpc,
    _request: Request<api::GetGatewayRequest>,
) -> Result<api::Gateway, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}

pub(crate) async fn list_gateways(
    _grpc: &Grpc,
    _request: Request<api::ListGatewaysRequest>,
) -> Result<api::ListGatewaysResponse, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}
