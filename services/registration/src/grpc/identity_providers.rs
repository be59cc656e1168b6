//! Identity providers.

use portico_proto::{Error, registration::v1 as api};
use tonic::Request;

use super::Grpc;

pub(crate) async fn create_identity_provider(
    _grpc: &Grpc,
    _request: Request<api::CreateIdentityProviderRequest>,
) -> Result<api::IdentityProvider, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}

pub(crate) async fn update_identity_provider(
    _grpc: &Grpc,
    _request: Request<api::UpdateIdentityProviderRequest>,
) -> Result<api::IdentityProvider, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}

pub(crate) async fn delete_identity_provider(
    _grpc: &Grpc,
    _request: Request<api::DeleteIdentityProviderRequest>,
) -> Result<api::DeleteIdentityProviderResponse, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}

pub(crate) async fn get_identity_provider(
    _grpc: &Grpc,
    _request: Request<api::GetIdentityProviderRequest>,
) -> Result<api::IdentityProvider, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}

pub(crate) async fn list_identity_providers(
    _grpc: &Grpc,
    _request: Request<api::ListIdentityProvidersRequest>,
) -> Result<api::ListIdentityProvidersResponse, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}

pub(crate) async fn check_identity_provider(
    _grpc: &Grpc,
    _request: Request<api::CheckIdentityProviderRequest>,
) -> Result<api::CheckIdentityProviderResponse, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}
