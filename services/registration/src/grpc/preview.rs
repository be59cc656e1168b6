//! What an approval would send and change.

use portico_proto::{Error, registration::v1 as api};
use tonic::Request;

use super::Grpc;

pub(crate) async fn preview_registration(
    _grpc: &Grpc,
    _request: Request<api::PreviewRegistrationRequest>,
) -> Result<api::PreviewRegistrationResponse, Error> {
    Err(Error::unavailable(
        "not_ready",
        "This part of Portico is not available.",
    ))
}
