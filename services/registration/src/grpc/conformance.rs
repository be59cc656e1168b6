//! What a provider can do, found out with a client that is registered for the check. For admins.

use std::collections::BTreeSet;

use portico_proto::registration::v1::{self as api, ConformanceStatus};
use portico_proto::{Error, Kind, time};
use portico_runtime::{Call, Caller, parse_id, query_error};
use tonic::Request;
use uuid::Uuid;

use super::Grpc;
use super::refusal::{access_error, refuse, work_error};
use crate::conformance::{ConformanceCheck, Step};
use crate::identity_provider::IdentityProvider;
use crate::oauth_client::{Command, FollowCommand, OauthClient};
use crate::providers::access;
use crate::views::oauth_clients as view;
use crate::wire;
use crate::worker::Check;

/// An admin. The check goes on after the answer.
pub(crate) async fn start_conformance_check(
    grpc: &Grpc,
    request: Request<api::StartConformanceCheckRequest>,
) -> Result<api::ConformanceCheck, Error> {
    let call = Call::of(&request, "start_conformance_check", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let id = parse_id("identity_provider_id", &message.identity_provider_id)?;
    let provider = grpc.load::<IdentityProvider>(id).await?;
    let access = access::open(&grpc.deps, &grpc.vault, id, &provider).await;
    let run = call.new_id("conformance_check", &grpc.deps.clock);
    let check = Check {
        provider: id,
        run,
        access: access.map_err(access_error)?,
        scopes: BTreeSet::from_iter(message.scopes.into_iter().filter(|s| !s.trim().is_empty())),
        context: call.context.clone(),
    };
    if grpc.load::<ConformanceCheck>(id).await?.run == run {
        // Repeated with its idempotency key.
        return answer(grpc, id).await;
    }
    let started = grpc.worker.start_check(check).await;
    if !started.map_err(|error| work_error(id, &error))? {
        return Err(Error::new(
            Kind::Conflict,
            "conformance_check_running",
            "A conformance check of this identity provider is running; wait until it has finished.",
        ));
    }
    answer(grpc, id).await
}

/// An admin.
pub(crate) async fn get_conformance_check(
    grpc: &Grpc,
    request: Request<api::GetConformanceCheckRequest>,
) -> Result<api::ConformanceCheck, Error> {
    Caller::of(&request).require_admin()?;
    let id = parse_id(
        "identity_provider_id",
        &request.get_ref().identity_provider_id,
    )?;
    grpc.load::<IdentityProvider>(id).await?.present()?;
    answer(grpc, id).await
}

/// An admin. What is due to an access request is tried again with it; this is for the rest.
pub(crate) async fn retry_identity_provider(
    grpc: &Grpc,
    request: Request<api::RetryIdentityProviderRequest>,
) -> Result<api::RetryIdentityProviderResponse, Error> {
    let call = Call::of(&request, "retry_identity_provider", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let id = parse_id(
        "identity_provider_id",
        &request.get_ref().identity_provider_id,
    )?;
    grpc.load::<IdentityProvider>(id).await?.present()?;
    let clients = view::waiting_at(grpc.pool(), id)
        .await
        .map_err(query_error)?;
    let mut retried = 0;
    for client in clients {
        let context = call.context.step(&format!("retry {client}"));
        let command = Command::Follow(FollowCommand::RetryNow);
        let outcome = grpc
            .store
            .execute::<OauthClient>(client, &command, &context)
            .await
            .map_err(refuse)?;
        retried += u32::from(!outcome.events.is_empty());
    }
    Ok(api::RetryIdentityProviderResponse { retried })
}

async fn answer(grpc: &Grpc, id: Uuid) -> Result<api::ConformanceCheck, Error> {
    let check = grpc.load::<ConformanceCheck>(id).await?;
    let status = match (check.started_at, check.finished_at) {
        (None, _) => ConformanceStatus::None,
        (Some(_), Some(_)) => ConformanceStatus::Finished,
        (Some(_), None) => match grpc.worker.is_checking(id).await {
            Ok(true) => ConformanceStatus::Running,
            Ok(false) => ConformanceStatus::Interrupted,
            Err(error) => return Err(work_error(id, &error)),
        },
    };
    let step = |step: Step| api::ConformanceStep {
        name: wire::word::<api::ConformanceStepName>(&step.name),
        outcome: wire::word::<api::ConformanceOutcome>(step.outcome.as_str()),
        detail: wire::given(step.detail),
    };
    Ok(api::ConformanceCheck {
        identity_provider_id: id.to_string(),
        status: status.into(),
        started_at: check.started_at.map(time::to_proto),
        finished_at: check.finished_at.map(time::to_proto),
        steps: check.steps.into_iter().map(step).collect(),
        left_behind: check.left_behind.map(|left| left.client_id),
    })
}
