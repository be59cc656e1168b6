//! Asks the access-request service whether anybody has, or waits for, access to a product.

use std::time::Duration;

use portico_proto::{
    Error, Kind,
    access::v1::{ListAccessRequestsRequest, access_service_client::AccessServiceClient},
};
use portico_runtime::{Caller, Deps, ServiceName};
use tokio::time::timeout;
use uuid::Uuid;

/// An admin waits for the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Statuses of requests whose access is there or may come.
const LIVING: [&str; 5] = ["active", "provisioning", "approved", "pending", "failed"];

/// That a product may go. Its scopes are free for another product then, so no client may have them any more.
///
/// # Errors
/// `Conflict` where there is a request, `Unavailable` when that cannot be asked.
pub(crate) async fn none_living(deps: &Deps, product: Uuid) -> Result<(), Error> {
    for status in LIVING {
        if one(deps, product, status).await? {
            return Err(Error::new(
                Kind::Conflict,
                "product_in_use",
                format!(
                    "There are access requests for this product that are {status}; revoke or reject them first, or \
                     unpublish it so that no more come."
                ),
            ));
        }
    }
    Ok(())
}

async fn one(deps: &Deps, product: Uuid, status: &str) -> Result<bool, Error> {
    let message = ListAccessRequestsRequest {
        limit: 1,
        status: status.to_owned(),
        product_id: product.to_string(),
        ..ListAccessRequestsRequest::default()
    };
    let request = deps.identity.request(&Caller::service("catalog"), message);
    let mut client = AccessServiceClient::new(deps.channels.to(ServiceName::AccessRequest));
    let why = match timeout(PATIENCE, client.list_access_requests(request)).await {
        Ok(Ok(answer)) => return Ok(!answer.into_inner().access_requests.is_empty()),
        Ok(Err(status)) => format!("{:?}: {}", status.code(), status.message()),
        Err(_) => "no answer in time".to_owned(),
    };
    tracing::warn!(why, "access requests not checked");
    Err(Error::unavailable(
        "access_request_unavailable",
        "It cannot be checked at the moment whether the product is in use; try again.",
    ))
}
