//! `/plans`: how much of a product somebody may use.

use axum::response::Response;
use http::StatusCode;
use portico_proto::{
    catalog::v1::{
        CreatePlanRequest, DeletePlanRequest, GetPlanRequest, ListPlansRequest, NewPlan, Plan,
        PlanChange, UpdatePlanRequest,
    },
    rest::New,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single},
    input::{Body, Id, IfMatch, Query},
};
use crate::edge::{Edge, problem::Result, remembered, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_plans, create_plan))
        .routes(routes!(get_plan, update_plan, delete_plan))
}

impl From<Plan> for Single<Plan> {
    fn from(from: Plan) -> Self {
        Self::ok(from.version, from)
    }
}

/// Plans.
#[utoipa::path(get, path = "/plans", tag = "Plans", params(ListPlansRequest), responses((status = 200, body = List<Plan>)))]
async fn list_plans(ctx: RequestContext) -> Result<Response> {
    remembered::answer(&ctx, async {
        let Query(query) = Query::<ListPlansRequest>::of(ctx.uri())?;
        let request = ctx.request(query);
        let page = ctx.catalog().list_plans(request).await?.into_inner();
        Ok(List::<Plan>::new(page.plans, page.next))
    })
    .await
}

/// Creates a plan.
#[utoipa::path(post, path = "/plans", tag = "Plans", request_body = NewPlan, responses((status = 201, body = Plan)))]
async fn create_plan(ctx: RequestContext, Body(New(plan)): Body<NewPlan>) -> Result<Single<Plan>> {
    let request = ctx.request(CreatePlanRequest { plan: Some(plan) });
    let plan = ctx.catalog().create_plan(request).await?.into_inner();
    let path = format!("plans/{}", plan.id);
    Ok(Single::created(&path, plan.version, plan))
}

/// One plan.
#[utoipa::path(get, path = "/plans/{id}", tag = "Plans", responses((status = 200, body = Plan)))]
async fn get_plan(ctx: RequestContext, Id(id): Id) -> Result<Response> {
    remembered::answer(&ctx, async {
        let request = ctx.request(GetPlanRequest { id });
        let plan = ctx.catalog().get_plan(request).await?.into_inner();
        Ok(Single::from(plan))
    })
    .await
}

async fn version(ctx: &RequestContext, id: &str) -> Result<u64> {
    let request = ctx.request(GetPlanRequest { id: id.to_owned() });
    Ok(ctx.catalog().get_plan(request).await?.into_inner().version)
}

/// Updates the fields present in the body; `null` removes a limit.
#[utoipa::path(patch, path = "/plans/{id}", tag = "Plans", request_body = PlanChange, responses((status = 200, body = Plan)))]
async fn update_plan(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
    Body(change): Body<PlanChange>,
) -> Result<Single<Plan>> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(UpdatePlanRequest {
        id,
        if_version,
        plan: Some(change.message),
        update_mask: Some(change.mask),
    });
    let plan = ctx.catalog().update_plan(request).await?.into_inner();
    Ok(plan.into())
}

/// Deletes the plan for new requests; granted access stays.
#[utoipa::path(delete, path = "/plans/{id}", tag = "Plans", responses((status = 204)))]
async fn delete_plan(ctx: RequestContext, Id(id): Id, expected: IfMatch) -> Result<StatusCode> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(DeletePlanRequest { id, if_version });
    ctx.catalog().delete_plan(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
