//! Whose an application is, asked of the access-request service.

use portico_proto::access::v1::access_service_client::AccessServiceClient;
use portico_proto::access::v1::{Application, GetApplicationRequest};
use portico_proto::{Error, Kind};
use portico_runtime::{Caller, ServiceName};
use uuid::Uuid;

use super::Grpc;

/// The application as the caller may see it; otherwise it is not there.
pub(super) async fn visible(grpc: &Grpc, caller: &Caller, id: Uuid) -> Result<Application, Error> {
    let mut access = AccessServiceClient::new(grpc.deps.channels.to(ServiceName::AccessRequest));
    let message = GetApplicationRequest { id: id.to_string() };
    let request = grpc.deps.identity.request(caller, message);
    Ok(access.get_application(request).await?.into_inner())
}

/// Only where the caller owns it.
pub(super) async fn owned(grpc: &Grpc, caller: &Caller, id: Uuid) -> Result<(), Error> {
    let (user, _) = caller.require_user()?;
    if visible(grpc, caller, id).await?.owner_id == user.to_string() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Forbidden,
        "credentials_not_yours",
        "Only the owner of an application sees its credentials.",
    ))
}
