//! Methods on plans.

use std::collections::BTreeSet;

use portico_proto::{Error, catalog::v1, rest::merge};
use portico_runtime::{
    Call,
    lists::{ListQuery, Search},
    parse_id, query_error, require, store_error,
};
use tonic::Request;
use uuid::Uuid;

use super::{Grpc, merging};
use crate::{
    input::Input,
    neighbours::access_requests::{self, Subject},
    plan::{Command, Details, Limit, Plan, SCOPES_MISSING},
    views::{Audience, SORT, plans},
    wire,
};

pub(super) async fn create_plan(
    grpc: &Grpc,
    request: Request<v1::CreatePlanRequest>,
) -> Result<v1::Plan, Error> {
    let call = Call::of(&request, "create_plan", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let details = parse(require("plan", request.into_inner().plan)?)?;
    let at = call.context.now;
    let id = call.new_id("plan", &grpc.deps.clock);
    run(grpc, &call, id, 0, &Command::Create { details, at }).await
}

pub(super) async fn update_plan(
    grpc: &Grpc,
    request: Request<v1::UpdatePlanRequest>,
) -> Result<v1::Plan, Error> {
    let call = Call::of(&request, "update_plan", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let id = parse_id("id", &message.id)?;
    merging(message.if_version, || replace(grpc, &call, id, &message)).await
}

/// As that of products.
async fn replace(
    grpc: &Grpc,
    call: &Call,
    id: Uuid,
    message: &v1::UpdatePlanRequest,
) -> Result<v1::Plan, Error> {
    let found = grpc.store.load::<Plan>(id).await.map_err(store_error)?;
    if found.version == 0 {
        return Err(Error::not_found("plan"));
    }
    let version = match message.if_version {
        0 => found.version.unsigned_abs(),
        expected => expected,
    };
    let present = wire::plan(id, found.version, &found.state);
    let patch = require("plan", message.plan.clone())?;
    let details = parse(merge(present, patch, message.update_mask.as_ref())?)?;
    let at = call.context.now;
    let command = Command::Change { details, at };
    run(grpc, call, id, version, &command).await
}

/// All details of a plan.
fn parse(message: v1::Plan) -> Result<Details, Error> {
    let mut input = Input::default();
    let details = Details {
        name: input.name("name", &message.name),
        description: input.description(&message.description),
        scopes: input.scopes(&message.scopes),
        rate: message.rate.map(|message| rate(&mut input, message)),
        quota: message.quota.map(|message| quota(&mut input, message)),
        auto_approve: message.auto_approve,
        policy_id: input.policy_id(message.mapping),
    };
    if details.scopes.is_empty() {
        input
            .problems
            .add("scopes", SCOPES_MISSING.0, SCOPES_MISSING.1);
    }
    input.problems.into_result()?;
    Ok(details)
}

pub(super) async fn delete_plan(
    grpc: &Grpc,
    request: Request<v1::DeletePlanRequest>,
) -> Result<v1::DeletePlanResponse, Error> {
    let call = Call::of(&request, "delete_plan", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.get_ref();
    let id = parse_id("id", &message.id)?;
    access_requests::require_none_open(&grpc.deps, Subject::Plan(id)).await?;
    let at = call.context.now;
    let command = Command::Delete { at };
    run(grpc, &call, id, message.if_version, &command).await?;
    Ok(v1::DeletePlanResponse {})
}

pub(super) async fn get_plan(
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

pub(super) async fn list_plans(
    grpc: &Grpc,
    request: Request<v1::ListPlansRequest>,
) -> Result<v1::ListPlansResponse, Error> {
    let call = Call::of(&request, "list_plans", &grpc.deps.clock)?;
    call.caller.require_known()?;
    let message = request.into_inner();
    let query = ListQuery::parse(&SORT, &message)?;
    let search = Search::parse(&message.q)?;
    let audience = Audience::of(&call.caller);
    let pool = grpc.store.database().pool();
    let (plans, next) = plans::list(pool, audience, &search, &query)
        .await
        .map_err(query_error)?;
    Ok(v1::ListPlansResponse { plans, next })
}

/// Runs a command and answers with the state after it.
async fn run(
    grpc: &Grpc,
    call: &Call,
    id: Uuid,
    version: u64,
    command: &Command,
) -> Result<v1::Plan, Error> {
    let scopes = match command {
        Command::Create { details, .. } | Command::Change { details, .. } => &details.scopes,
        Command::Delete { .. } => &BTreeSet::new(),
    };
    let done = grpc.run::<Plan>(id, version, command, &call.context, scopes);
    let done = done.await?;
    Ok(wire::plan(id, done.version, &done.state))
}

fn rate(input: &mut Input, message: v1::Rate) -> Limit {
    input.at_least_one("rate.requests", message.requests);
    input.at_least_one("rate.per_seconds", message.per_seconds);
    Limit {
        requests: message.requests,
        seconds: message.per_seconds,
    }
}

fn quota(input: &mut Input, message: v1::Quota) -> Limit {
    input.at_least_one("quota.requests", message.requests);
    input.at_least_one("quota.renews_every_seconds", message.renews_every_seconds);
    Limit {
        requests: message.requests,
        seconds: message.renews_every_seconds,
    }
}
