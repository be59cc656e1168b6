//! Asks the registration service what is at a gateway.

use std::{collections::BTreeMap, time::Duration};

use portico_proto::{
    Error, Kind,
    registration::v1::{
        GatewayPolicy, ListGatewayContentsRequest, ListGatewayContentsResponse,
        registration_service_client::RegistrationServiceClient,
    },
};
use portico_runtime::{Caller, Deps, MAX_LIMIT, ServiceName};
use tokio::time::timeout;

/// The gateway itself is asked, and an admin waits for the answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// One page of the policies at a gateway.
///
/// # Errors
/// There is no such gateway, it does not answer, or the registration service does not.
pub(crate) async fn policies(
    deps: &Deps,
    message: ListGatewayContentsRequest,
) -> Result<ListGatewayContentsResponse, Error> {
    let request = deps.identity.request(&Caller::service("catalog"), message);
    let mut client = RegistrationServiceClient::new(deps.channels.to(ServiceName::Registration));
    match timeout(PATIENCE, client.list_gateway_contents(request)).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => {
            let error = Error::from(status);
            // What the gateway said is the admin's to read; what the service did not is not.
            match error.kind {
                Kind::NotFound | Kind::Unavailable | Kind::Conflict | Kind::Invalid => Err(error),
                _ => {
                    tracing::warn!(code = %error.code, "the policies of a gateway are not known");
                    Err(unavailable())
                }
            }
        }
        Err(_) => {
            tracing::warn!("the policies of a gateway are not known: no answer in time");
            Err(unavailable())
        }
    }
}

/// All policies at a gateway, by id.
///
/// # Errors
/// As [`policies`].
pub(crate) async fn all_policies(
    deps: &Deps,
    gateway_id: &str,
) -> Result<BTreeMap<String, GatewayPolicy>, Error> {
    let mut all = BTreeMap::new();
    let mut after = String::new();
    loop {
        let message = ListGatewayContentsRequest {
            gateway_id: gateway_id.to_owned(),
            limit: MAX_LIMIT,
            after,
        };
        let page = policies(deps, message).await?;
        all.extend(page.policies.into_iter().map(|one| (one.id.clone(), one)));
        if page.next.is_empty() {
            return Ok(all);
        }
        after = page.next;
    }
}

fn unavailable() -> Error {
    Error::unavailable(
        "registration_unavailable",
        "The gateway cannot be asked at the moment; try again.",
    )
}
