//! OAuth clients and their credentials.

use portico_proto::{Error, registration::v1 as api};
use tonic::Request;

use super::Grpc;

pub(crate) async fn list_oauth_clients(
    _grpc: &Grpc,
    _request: Request<api::ListOauthClientsRequest>,
) -> Result<api::ListOauthClientsResponse, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}

pub(crate) async fn get_credentials(
    _grpc: &Grpc,
    _request: Request<api::GetCredentialsRequest>,
) -> Result<api::GetCredentialsResponse, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}

pub(crate) async fn rotate_credentials(
    _grpc: &Grpc,
    _request: Request<api::RotateCredentialsRequest>,
) -> Result<api::Credentials, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}

pub(crate) async fn list_orphans(
    _grpc: &Grpc,
    _request: Request<api::ListOrphansRequest>,
) -> Result<api::ListOrphansResponse, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}
