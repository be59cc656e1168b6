//! What a provider can do, found out with a client that lives for a moment. For admins.

use std::collections::BTreeSet;

use portico_eventstore::Lease;
use portico_proto::{Error, Kind, registration::v1 as api};
use portico_runtime::{Call, Caller, parse_id, store_error};
use tonic::Request;
use uuid::Uuid;

use super::Grpc;
use super::refusal::{refuse, vault_error};
use crate::conformance::run::Check;
use crate::conformance::{Command, ConformanceCheck};
use crate::identity_provider::{self, AccessError};
use crate::views::oauth_clients as view;

/// How often a running check gives a sign of life; its lease lasts some times longer.
const SIGN: std::time::Duration = std::time::Duration::from_secs(3);

/// An admin. The check goes on after the answer.
pub(crate) async fn start_conformance_check(
    grpc: &Grpc,
    request: Request<api::StartConformanceCheckRequest>,
) -> Result<api::ConformanceCheck, Error> {
    let call = Call::of(&request, "start_conformance_check", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let id = parse_id("identity_provider_id", &message.identity_provider_id)?;
    let provider = identity_provider::load(&grpc.store, id)
        .await
        .map_err(store_error)?
        .state;
    let access = identity_provider::access(&grpc.deps, &grpc.vault, id, &provider).await;
    let access = access.map_err(|error| match error {
        AccessError::Vault(error) => vault_error(error),
        AccessError::Rejected(rejection) => rejection.into(),
    })?;
    let run = call.new_id("conformance_check", &grpc.deps.clock);
    if last(grpc, id).await?.run == run {
        // Repeated with its idempotency key.
        return answer(grpc, id).await;
    }
    let lease = grpc
        .deps
        .lease(grpc.store.database(), format!("conformance-{id}"));
    let free = lease
        .take(grpc.deps.clock.now())
        .await
        .map_err(store_error)?;
    // The lease keeps other replicas out, the mark others in this process.
    let Some(mark) = free.then(|| grpc.worker.begin(id)).flatten() else {
        return Err(Error::new(
            Kind::Conflict,
            "conformance_check_running",
            "A conformance check of this identity provider is running; wait until it has finished.",
        ));
    };
    let at = call.context.now;
    let started = grpc
        .store
        .execute::<ConformanceCheck>(id, &Command::Start { run, at }, &call.context)
        .await;
    started.map_err(|error| match error {
        portico_eventstore::ExecuteError::Store(error) => store_error(error),
        other => {
            tracing::error!(error = %other, "a conformance check could not begin");
            Error::internal()
        }
    })?;
    let check = Check {
        grpc: grpc.clone(),
        provider: id,
        run,
        access,
        scopes: BTreeSet::from_iter(message.scopes.into_iter().filter(|s| !s.trim().is_empty())),
        context: call.context.clone(),
    };
    let clock = grpc.deps.clock.clone();
    grpc.deps.tasks.spawn(async move {
        tokio::select! {
            () = check.run() => {}
            () = alive(&lease, &clock) => {}
        }
        if let Err(error) = lease.release().await {
            tracing::warn!(%error, "the lease of a conformance check was not given back");
        }
        drop(mark);
    });
    answer(grpc, id).await
}

/// Never ends: what is under way at a provider is not given up.
async fn alive(lease: &Lease, clock: &portico_runtime::Clock) {
    loop {
        tokio::time::sleep(SIGN).await;
        if let Err(error) = lease.take(clock.now()).await {
            tracing::warn!(%error, "the lease of a conformance check was not prolonged");
        }
    }
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
    identity_provider::load(&grpc.store, id)
        .await
        .map_err(store_error)?
        .state
        .present()?;
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
    identity_provider::load(&grpc.store, id)
        .await
        .map_err(store_error)?
        .state
        .present()?;
    let clients = view::waiting_at(grpc.store.database().pool(), id)
        .await
        .map_err(portico_runtime::query_error)?;
    let mut retried = 0;
    for client in clients {
        let context = call.context.step(&format!("retry {client}"));
        let command = crate::oauth_client::Command::RetryNow;
        let outcome = grpc
            .store
            .execute::<crate::oauth_client::OauthClient>(client, &command, &context)
            .await
            .map_err(refuse)?;
        retried += u32::from(!outcome.events.is_empty());
    }
    Ok(api::RetryIdentityProviderResponse { retried })
}

async fn last(grpc: &Grpc, id: Uuid) -> Result<ConformanceCheck, Error> {
    let loaded = grpc.store.load::<ConformanceCheck>(id).await;
    Ok(loaded.map_err(store_error)?.state)
}

async fn answer(grpc: &Grpc, id: Uuid) -> Result<api::ConformanceCheck, Error> {
    let check = last(grpc, id).await?;
    let lease = grpc
        .deps
        .lease(grpc.store.database(), format!("conformance-{id}"));
    let status = match (check.started_at, check.finished_at) {
        (None, _) => "none",
        (Some(_), Some(_)) => "finished",
        (Some(_), None) => match lease.is_held(grpc.deps.clock.now()).await {
            Ok(true) => "running",
            Ok(false) => "interrupted",
            Err(error) => return Err(store_error(error)),
        },
    };
    let time = |at: Option<jiff::Timestamp>| at.map_or_else(String::new, |at| at.to_string());
    Ok(api::ConformanceCheck {
        identity_provider_id: id.to_string(),
        status: status.to_owned(),
        started_at: time(check.started_at),
        finished_at: time(check.finished_at),
        steps: check
            .steps
            .into_iter()
            .map(|step| api::ConformanceStep {
                name: step.name,
                outcome: step.outcome.as_str().to_owned(),
                detail: step.detail,
            })
            .collect(),
        left_behind: check
            .left_behind
            .map_or_else(String::new, |left| left.client_id),
    })
}
