//! Asks the access-request service whether a product or plan is in use.

use std::time::Duration;

use portico_proto::{
    Error, Kind,
    access::v1::{
        AccessRequestStatus, ListAccessRequestsRequest, access_service_client::AccessServiceClient,
    },
    rest::Enumeration as _,
};
use portico_runtime::{Caller, Deps, ServiceName};
use tokio::time::timeout;
use uuid::Uuid;

/// Short: an admin is waiting for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Statuses of requests that have access or may still get it; the others have ended for good. A failed request can be
/// retried, a suspended one resumed.
const OPEN: [AccessRequestStatus; 6] = [
    AccessRequestStatus::Active,
    AccessRequestStatus::Provisioning,
    AccessRequestStatus::Approved,
    AccessRequestStatus::Pending,
    AccessRequestStatus::Failed,
    AccessRequestStatus::Suspended,
];

/// What an admin wants to delete.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject {
    Product(Uuid),
    Plan(Uuid),
}

/// Refuses to delete a product or plan that has open access requests. Deletion frees its scopes for another owner, so no
/// client may still hold them.
///
/// # Errors
/// `Conflict` when there is an open request, `Unavailable` when the access-request service cannot be asked.
pub(crate) async fn require_none_open(deps: &Deps, subject: Subject) -> Result<(), Error> {
    for status in OPEN {
        if any(deps, subject, status).await? {
            let status = status.as_word();
            let (code, message) = match subject {
                Subject::Product(_) => (
                    "product_in_use",
                    format!(
                        "This product has access requests that are {status}; revoke or reject them first, or \
                         unpublish the product to stop new ones."
                    ),
                ),
                Subject::Plan(_) => (
                    "plan_in_use",
                    format!(
                        "This plan has access requests that are {status}; revoke or reject them first."
                    ),
                ),
            };
            return Err(Error::new(Kind::Conflict, code, message));
        }
    }
    Ok(())
}

async fn any(deps: &Deps, subject: Subject, status: AccessRequestStatus) -> Result<bool, Error> {
    let (product_id, plan_id) = match subject {
        Subject::Product(id) => (id.to_string(), String::new()),
        Subject::Plan(id) => (String::new(), id.to_string()),
    };
    let message = ListAccessRequestsRequest {
        limit: 1,
        status: status.into(),
        product_id,
        plan_id,
        ..ListAccessRequestsRequest::default()
    };
    let request = deps.identity.request(&Caller::service("catalog"), message);
    let mut client = AccessServiceClient::new(deps.channels.to(ServiceName::AccessRequest));
    let cause = match timeout(TIMEOUT, client.list_access_requests(request)).await {
        Ok(Ok(answer)) => return Ok(!answer.into_inner().access_requests.is_empty()),
        Ok(Err(status)) => format!("{:?}: {}", status.code(), status.message()),
        Err(_) => "timed out".to_owned(),
    };
    tracing::warn!(cause, "could not check for open access requests");
    Err(Error::unavailable(
        "access_request_unavailable",
        "Could not check whether it is in use; try again.",
    ))
}
