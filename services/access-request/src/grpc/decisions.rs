//! What people decide about an access request.

use portico_eventstore::{ExecuteError, Outcome};
use portico_proto::{Error, Kind, access::v1 as api};
use portico_runtime::{Call, Problems, fault, parse_id, query_error, texts};
use portico_vault::VaultRef;
use tonic::Request;
use uuid::Uuid;

use super::{Grpc, answer, requests::visible};
use crate::{
    access_request::{AccessRequest, Command, Rejection, access, request as asking},
    views::{access_requests, refused},
};

/// Requests that one call tries again.
const MANY: u32 = 200;
const RETRY: Command = Command::Access(access::Command::Retry);

/// For admins.
pub(super) async fn approve_access_request(
    grpc: &Grpc,
    request: Request<api::ApproveAccessRequestRequest>,
) -> Result<api::AccessRequest, Error> {
    let call = grpc.call(&request, "approve_access_request")?;
    call.caller.require_admin()?;
    let given = request.get_ref();
    let id = parse_id("id", &given.id)?;
    let note = match given.note.as_str() {
        "" => checked("reason", &given.reason)?,
        note => checked("note", note)?,
    };
    let row = visible(grpc, &call.caller, id).await?;
    let (items, account) = futures::try_join!(
        grpc.approvals.items(&row.state),
        grpc.approvals.account(&row.state),
    )?;
    let note = grpc.notes.keep(id, &call.context, &note).await?;
    let command = Command::Request(asking::Command::Approve {
        items,
        note,
        account,
    });
    decide(grpc, &call, id, given.if_version, &command, note).await
}

/// For admins.
pub(super) async fn reject_access_request(
    grpc: &Grpc,
    request: Request<api::RejectAccessRequestRequest>,
) -> Result<api::AccessRequest, Error> {
    let call = grpc.call(&request, "reject_access_request")?;
    call.caller.require_admin()?;
    let given = request.get_ref();
    let id = parse_id("id", &given.id)?;
    let reason = checked("reason", &given.reason)?;
    visible(grpc, &call.caller, id).await?;
    let Some(reason) = grpc.notes.keep(id, &call.context, &reason).await? else {
        return Err(Error::field(
            "reason",
            "reason_missing",
            "`reason` must be given; the developer reads it.",
        ));
    };
    let command = Command::Request(asking::Command::Reject { reason });
    decide(grpc, &call, id, given.if_version, &command, Some(reason)).await
}

/// For admins, and for the requester.
pub(super) async fn revoke_access_request(
    grpc: &Grpc,
    request: Request<api::RevokeAccessRequestRequest>,
) -> Result<api::AccessRequest, Error> {
    let call = grpc.call(&request, "revoke_access_request")?;
    call.caller.require_user()?;
    let given = request.get_ref();
    let id = parse_id("id", &given.id)?;
    let reason = checked("reason", &given.reason)?;
    visible(grpc, &call.caller, id).await?;
    let reason = grpc.notes.keep(id, &call.context, &reason).await?;
    let command = Command::Access(access::Command::Revoke { reason });
    decide(grpc, &call, id, given.if_version, &command, reason).await
}

/// For the requester.
pub(super) async fn withdraw_access_request(
    grpc: &Grpc,
    request: Request<api::WithdrawAccessRequestRequest>,
) -> Result<api::AccessRequest, Error> {
    let call = grpc.call(&request, "withdraw_access_request")?;
    let (user, _) = call.caller.require_user()?;
    let given = request.get_ref();
    let id = parse_id("id", &given.id)?;
    let reason = checked("reason", &given.reason)?;
    let row = visible(grpc, &call.caller, id).await?;
    if row.state.submission.requester_id != user {
        return Err(Error::new(
            Kind::Forbidden,
            "forbidden",
            "Only the developer who submitted it may withdraw a request; reject it instead.",
        ));
    }
    let reason = grpc.notes.keep(id, &call.context, &reason).await?;
    let command = Command::Request(asking::Command::Withdraw { reason });
    decide(grpc, &call, id, given.if_version, &command, reason).await
}

/// For admins.
pub(super) async fn retry_access_request(
    grpc: &Grpc,
    request: Request<api::RetryAccessRequestRequest>,
) -> Result<api::AccessRequest, Error> {
    let call = grpc.call(&request, "retry_access_request")?;
    call.caller.require_admin()?;
    let given = request.get_ref();
    let id = parse_id("id", &given.id)?;
    visible(grpc, &call.caller, id).await?;
    decide(grpc, &call, id, given.if_version, &RETRY, None).await
}

/// For admins. What is not failed any more when its turn comes is left alone.
pub(super) async fn retry_access_requests(
    grpc: &Grpc,
    request: Request<api::RetryAccessRequestsRequest>,
) -> Result<api::RetryAccessRequestsResponse, Error> {
    let call = grpc.call(&request, "retry_access_requests")?;
    call.caller.require_admin()?;
    let provider = parse_id(
        "identity_provider_id",
        &request.get_ref().identity_provider_id,
    )?;
    let pool = grpc.store.database().pool();
    let failed = access_requests::stuck_at(pool, provider, i64::from(MANY) + 1)
        .await
        .map_err(query_error)?;
    let mut answer = api::RetryAccessRequestsResponse {
        more: failed.len() > MANY as usize,
        ..Default::default()
    };
    for id in failed.into_iter().take(MANY as usize) {
        let context = call.context.step(&format!("retry {id}"));
        let retried: Result<Outcome<AccessRequest>, _> =
            grpc.store.execute(id, &RETRY, &context).await;
        match retried {
            Ok(_) => answer.access_requests += 1,
            Err(ExecuteError::Rejected(_)) => {}
            Err(error) => return Err(refused::<Rejection>(error)),
        }
    }
    Ok(answer)
}

/// For admins.
pub(super) async fn suspend_access_request(
    grpc: &Grpc,
    request: Request<api::SuspendAccessRequestRequest>,
) -> Result<api::AccessRequest, Error> {
    let call = grpc.call(&request, "suspend_access_request")?;
    call.caller.require_admin()?;
    let given = request.get_ref();
    let id = parse_id("id", &given.id)?;
    let reason = checked("reason", &given.reason)?;
    visible(grpc, &call.caller, id).await?;
    let reason = grpc.notes.keep(id, &call.context, &reason).await?;
    let command = Command::Access(access::Command::Suspend { reason });
    decide(grpc, &call, id, given.if_version, &command, reason).await
}

/// For admins.
pub(super) async fn resume_access_request(
    grpc: &Grpc,
    request: Request<api::ResumeAccessRequestRequest>,
) -> Result<api::AccessRequest, Error> {
    let call = grpc.call(&request, "resume_access_request")?;
    call.caller.require_admin()?;
    let given = request.get_ref();
    let id = parse_id("id", &given.id)?;
    visible(grpc, &call.caller, id).await?;
    let command = Command::Access(access::Command::Resume);
    decide(grpc, &call, id, given.if_version, &command, None).await
}

/// Runs the command and answers with the request as it is then.
async fn decide(
    grpc: &Grpc,
    call: &Call,
    id: Uuid,
    if_version: u64,
    command: &Command,
    text: Option<VaultRef>,
) -> Result<api::AccessRequest, Error> {
    let approves = matches!(command, Command::Request(asking::Command::Approve { .. }));
    if approves {
        fault::point("approving");
    }
    let outcome: Result<Outcome<AccessRequest>, _> = grpc
        .store
        .execute_at(id, if_version, command, &call.context)
        .await;
    grpc.notes.settle(text, &outcome).await;
    outcome.map_err(refused)?;
    if approves {
        fault::point("approved");
    }
    let row = visible(grpc, &call.caller, id).await?;
    answer::access_request(&grpc.notes, row).await
}

fn checked(field: &str, given: &str) -> Result<String, Error> {
    let mut problems = Problems::default();
    let text = texts::description(&mut problems, field, given);
    problems.into_result()?;
    Ok(text)
}
