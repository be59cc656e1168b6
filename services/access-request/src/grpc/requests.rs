//! Reading access requests: developers their own, admins and services all.

use portico_proto::{Error, access::v1 as api};
use portico_runtime::{
    Caller, Problems,
    lists::{ListQuery, Search},
    parse_id, query_error,
};
use tonic::Request;
use uuid::Uuid;

use super::{Grpc, answer, may_see};
use crate::views::access_requests::{self, AccessRequestRow, Filter};

/// For its requester, admins and services.
pub(super) async fn get_access_request(
    grpc: &Grpc,
    request: Request<api::GetAccessRequestRequest>,
) -> Result<api::AccessRequest, Error> {
    let caller = Caller::of(&request);
    caller.require_known()?;
    let row = visible(grpc, &caller, parse_id("id", &request.get_ref().id)?).await?;
    answer::access_request(&grpc.notes, row).await
}

/// For everybody signed in: their own; for admins and services all.
pub(super) async fn list_access_requests(
    grpc: &Grpc,
    request: Request<api::ListAccessRequestsRequest>,
) -> Result<api::ListAccessRequestsResponse, Error> {
    let caller = Caller::of(&request);
    caller.require_known()?;
    let given = request.get_ref();
    let query = ListQuery::parse(&access_requests::SORT, given)?;
    let mut filter = filter(given)?;
    if let Caller::User { id, .. } = &caller
        && !caller.sees_all()
    {
        filter.requester_id = id.to_string();
    }
    let (rows, next) = access_requests::list(grpc.store.database().pool(), &filter, &query)
        .await
        .map_err(query_error)?;
    Ok(api::ListAccessRequestsResponse {
        access_requests: answer::access_requests(&grpc.notes, rows).await?,
        next,
    })
}

/// For the registration service.
pub(super) async fn get_activation(
    grpc: &Grpc,
    request: Request<api::GetActivationRequest>,
) -> Result<api::GetActivationResponse, Error> {
    Caller::of(&request).require_service()?;
    let given = request.get_ref();
    let application = parse_id("application_id", &given.application_id)?;
    let provider = parse_id("identity_provider_id", &given.identity_provider_id)?;
    let pool = grpc.store.database().pool();
    let activated = access_requests::activated(pool, application, provider)
        .await
        .map_err(query_error)?;
    Ok(api::GetActivationResponse { activated })
}

fn filter(given: &api::ListAccessRequestsRequest) -> Result<Filter, Error> {
    let mut problems = Problems::default();
    let status = api::AccessRequestStatus::try_from(given.status).unwrap_or_else(|_| {
        problems.add(
            "status",
            "status_invalid",
            "`status` must be pending, approved, provisioning, active, suspended, failed, rejected, withdrawn or revoked.",
        );
        api::AccessRequestStatus::default()
    });
    let mut id = |field: &str, text: &str| match text.parse::<Uuid>() {
        // As the view writes it.
        Ok(id) => id.to_string(),
        Err(_) if text.is_empty() => String::new(),
        Err(_) => {
            problems.add(field, "id_invalid", format!("`{field}` must be an id."));
            String::new()
        }
    };
    let filter = Filter {
        requester_id: id("requester_id", &given.requester_id),
        application_id: id("application_id", &given.application_id),
        product_id: id("product_id", &given.product_id),
        plan_id: id("plan_id", &given.plan_id),
        status,
        search: Search::parse(&given.q)?,
    };
    problems.into_result()?;
    Ok(filter)
}

/// A request that the caller may see.
pub(super) async fn visible(
    grpc: &Grpc,
    caller: &Caller,
    id: Uuid,
) -> Result<AccessRequestRow, Error> {
    access_requests::find(grpc.store.database().pool(), id)
        .await
        .map_err(query_error)?
        .filter(|row| may_see(caller, row.state.submission.requester_id))
        .ok_or_else(|| Error::not_found("access request"))
}
