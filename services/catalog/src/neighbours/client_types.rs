//! Asks the registration service whether client types exist.

use std::{collections::BTreeSet, time::Duration};

use portico_proto::{
    Error,
    registration::v1::{
        ClientTypeStatus, ListClientTypesRequest,
        registration_service_client::RegistrationServiceClient,
    },
};
use portico_runtime::{Caller, Deps, MAX_LIMIT, Problems, ServiceName};
use tokio::time::timeout;
use uuid::Uuid;

/// Short: an admin is waiting for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Adds a problem for every id in `client_type_ids` that is unknown or deleted.
///
/// # Errors
/// `Unavailable` when the registration service cannot be asked.
pub(crate) async fn check(deps: &Deps, ids: &[Uuid], problems: &mut Problems) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let known = known(deps, ids).await?;
    for (index, id) in ids.iter().enumerate() {
        if !known.contains(id) {
            problems.add(
                format!("client_type_ids[{index}]"),
                "client_type_unknown",
                format!("There is no client type {id}; choose one of an identity provider's."),
            );
        }
    }
    Ok(())
}

async fn known(deps: &Deps, ids: &[Uuid]) -> Result<BTreeSet<Uuid>, Error> {
    let message = ListClientTypesRequest {
        limit: MAX_LIMIT,
        ids: ids.iter().map(Uuid::to_string).collect(),
        ..ListClientTypesRequest::default()
    };
    let request = deps.identity.request(&Caller::service("catalog"), message);
    let mut client = RegistrationServiceClient::new(deps.channels.to(ServiceName::Registration));
    let answer = match timeout(TIMEOUT, client.list_client_types(request)).await {
        Ok(Ok(answer)) => answer.into_inner(),
        Ok(Err(status)) => {
            tracing::warn!(code = ?status.code(), message = status.message(), "could not check client types");
            return Err(unavailable());
        }
        Err(_) => {
            tracing::warn!("could not check client types: timed out");
            return Err(unavailable());
        }
    };
    Ok(answer
        .client_types
        .iter()
        .filter(|found| found.status() != ClientTypeStatus::Deleted)
        .filter_map(|found| found.id.parse().ok())
        .collect())
}

fn unavailable() -> Error {
    Error::unavailable(
        "registration_unavailable",
        "Could not check the client types; try again.",
    )
}
