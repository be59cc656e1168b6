//! Methods on plans.

use std::collections::BTreeSet;

use portico_eventstore::Outcome;
use portico_proto::{Error, catalog::v1};
use portico_runtime::{
    Call,
    lists::{ListQuery, Search},
    parse_id, query_error,
};
use tonic::Request;
use uuid::Uuid;

use super::Grpc;
use crate::{
    input::Input,
    neighbours::access_requests::{self, Subject},
    plan::{Change, Command, Details, Limit, Plan, SCOPES_MISSING},
    views::{Audience, SORT, plans},
    wire,
};

pub(super) async fn create(
    grpc: &Grpc,
    request: Request<v1::CreatePlanRequest>,
) -> Result<v1::Plan, Error> {
    let call = Call::of(&request, "create_plan", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let mut input = Input::default();
    let details = Details {
        name: input.name("name", &message.name),
        description: input.description(&message.description),
        scopes: input.scopes(&message.scopes),
        rate: message.rate.map(|message| rate(&mut input, message)),
        quota: message.quota.map(|message| quota(&mut input, message)),
        auto_approve: message.auto_approve,
        policy_id: input.policy_id(&message.policy_id),
    };
    if details.scopes.is_empty() {
        input
            .problems
            .add("scopes", SCOPES_MISSING.0, SCOPES_MISSING.1);
    }
    input.problems.into_result()?;
    let scopes = details.scopes.clone();
    let at = call.context.now;
    let id = call.new_id("plan", &grpc.deps.clock);
    run(
        grpc,
        &call,
        id,
        0,
        &Command::Create { details, at },
        &scopes,
    )
    .await
}

pub(super) async fn update(
    grpc: &Grpc,
    request: Request<v1::UpdatePlanRequest>,
) -> Result<v1::Plan, Error> {
    let call = Call::of(&request, "update_plan", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let id = parse_id("id", &message.id)?;
    let mut input = Input::default();
    for (field, both) in [
        ("rate", message.remove_rate && message.rate.is_some()),
        ("quota", message.remove_quota && message.quota.is_some()),
    ] {
        if both {
            input.problems.add(
                field,
                "limit_contradictory",
                format!("`{field}` must either be given or removed."),
            );
        }
    }
    let removed = |remove: bool| remove.then_some(None);
    let change = Change {
        name: message.name.map(|text| input.name("name", &text)),
        description: message.description.map(|text| input.description(&text)),
        scopes: message.scopes.map(|list| input.scopes(&list.values)),
        rate: message
            .rate
            .map(|message| Some(rate(&mut input, message)))
            .or(removed(message.remove_rate)),
        quota: message
            .quota
            .map(|message| Some(quota(&mut input, message)))
            .or(removed(message.remove_quota)),
        auto_approve: message.auto_approve,
        policy_id: message.policy_id.map(|text| input.policy_id(&text)),
    };
    input.problems.into_result()?;
    let scopes = change.scopes.clone().unwrap_or_default();
    let at = call.context.now;
    let command = Command::Change { change, at };
    run(grpc, &call, id, message.if_version, &command, &scopes).await
}

pub(super) async fn delete(
    grpc: &Grpc,
    request: Request<v1::DeletePlanRequest>,
) -> Result<(), Error> {
    let call = Call::of(&request, "delete_plan", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.get_ref();
    let id = parse_id("id", &message.id)?;
    access_requests::require_none_open(&grpc.deps, Subject::Plan(id)).await?;
    let at = call.context.now;
    let command = Command::Delete { at };
    run(
        grpc,
        &call,
        id,
        message.if_version,
        &command,
        &BTreeSet::new(),
    )
    .await
    .map(drop)
}

pub(super) async fn get(
    grpc: &Grpc,
    request: Request<v1::GetPlanRequest>,
) -> Result<v1::Plan, Error> {
    let call = Call::of(&request, "get_plan", &grpc.deps.clock)?;
    call.caller.require_known()?;
    let id = parse_id("id", &request.get_ref().id)?;
    plans::get(grpc.store.database().pool(), Audience::of(&call.caller), id)
        .await
        .map_err(query_error)?
        .ok_or_else(|| Error::not_found("plan"))
}

pub(super) async fn list(
    grpc: &Grpc,
    request: Request<v1::ListPlansRequest>,
) -> Result<v1::ListPlansResponse, Error> {
    let call = Call::of(&request, "list_plans", &grpc.deps.clock)?;
    call.caller.require_known()?;
    let message = request.into_inner();
    let query = ListQuery::parse(&SORT, message.limit, &message.after, &message.sort)?;
    let search = Search::parse(&message.q)?;
    let (plans, next) = plans::list(grpc.store.database().pool(), &search, &query)
        .await
        .map_err(query_error)?;
    Ok(v1::ListPlansResponse { plans, next })
}

/// Runs a command and answers with the state after it. `scopes` are those that the command asks for.
async fn run(
    grpc: &Grpc,
    call: &Call,
    id: Uuid,
    version: u64,
    command: &Command,
    scopes: &BTreeSet<String>,
) -> Result<v1::Plan, Error> {
    let outcome = grpc
        .store
        .execute_at::<Plan>(id, version, command, &call.context)
        .await;
    match outcome {
        Ok(Outcome { state, version, .. }) => Ok(wire::plan(id, version, &state)),
        Err(error) => Err(grpc.refuse(error, id, scopes).await),
    }
}

fn rate(input: &mut Input, message: v1::Rate) -> Limit {
    input.at_least_one("rate.requests", "rate_invalid", message.requests);
    input.at_least_one("rate.per_seconds", "rate_invalid", message.per_seconds);
    Limit {
        requests: message.requests,
        seconds: message.per_seconds,
    }
}

fn quota(input: &mut Input, message: v1::Quota) -> Limit {
    input.at_least_one("quota.requests", "quota_invalid", message.requests);
    input.at_least_one(
        "quota.renews_every_seconds",
        "quota_invalid",
        message.renews_every_seconds,
    );
    Limit {
        requests: message.requests,
        seconds: message.renews_every_seconds,
    }
}
