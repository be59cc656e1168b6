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
const LIVING: [&str; 6] = [
    "active",
    "provisioning",
    "approved",
    "pending",
    "failed",
    "suspended",
];

/// What is to go.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject {
    Product(Uuid),
    Plan(Uuid),
}

/// That a product or a plan may go. Its scopes are free for another one then, so no client may have them any more.
///
/// # Errors
/// `Conflict` where there is a request, `Unavailable` when that cannot be asked.
pub(crate) async fn none_living(deps: &Deps, subject: Subject) -> Result<(), Error> {
    for status in LIVING {
        if one(deps, subject, status).await? {
            let (code, message) = match subject {
                Subject::Product(_) => (
                    "product_in_use",
                    format!(
                        "There are access requests for this product that are {status}; revoke or reject them first, \
                         or unpublish it so that no more come."
                    ),
                ),
                Subject::Plan(_) => (
                    "plan_in_use",
                    format!(
                        "There are access requests under this plan that are {status}; revoke or reject them first."
                    ),
                ),
            };
            return Err(Error::new(Kind::Conflict, code, message));
        }
    }
    Ok(())
}

async fn one(deps: &Deps, subject: Subject, status: &str) -> Result<bool, Error> {
    let (product, plan) = match subject {
        Subject::Product(id) => (id.to_string(), String::new()),
        Subject::Plan(id) => (String::new(), id.to_string()),
    };
    let message = ListAccessRequestsRequest {
        limit: 1,
        status: status.to_owned(),
        product_id: product,
        plan_id: plan,
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
        "It cannot be checked at the moment whether it is in use; try again.",
    ))
}
