//! `/plans`: how much of a product somebody may use.

use http::StatusCode;
use portico_proto::catalog::v1::{
    self as proto, CreatePlanRequest, DeletePlanRequest, GetPlanRequest, ListPlansRequest,
    StringList, UpdatePlanRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single, given},
    input::{Body, Id, IfMatch, Query},
    values::{Scopes, present},
};
use crate::edge::{Edge, ask::Ask, problem::Result};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_plans, create_plan))
        .routes(routes!(get_plan, update_plan, delete_plan))
}

#[derive(Serialize, ToSchema)]
struct Plan {
    id: String,
    name: String,
    description: String,
    scopes: Scopes,
    /// Null: the gateway sets no limit.
    rate: Option<Rate>,
    /// Null: the gateway sets no limit.
    quota: Option<Quota>,
    /// Whether requests under it need no admin.
    auto_approve: bool,
    /// A gateway policy that already exists; null: Portico makes one.
    policy_id: Option<String>,
    /// `active` or `deleted`.
    status: String,
    version: u64,
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// Requests allowed within so many seconds.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rate {
    requests: u64,
    per_seconds: u64,
}

/// Requests allowed until it renews.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Quota {
    requests: u64,
    renews_every_seconds: u64,
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct NewPlan {
    name: String,
    description: String,
    scopes: Scopes,
    rate: Option<Rate>,
    quota: Option<Quota>,
    auto_approve: bool,
    policy_id: String,
}

/// What is absent stays; a limit that is null is taken away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlanChange {
    name: Option<String>,
    description: Option<String>,
    scopes: Option<Scopes>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Rate>)]
    rate: Option<Option<Rate>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Quota>)]
    quota: Option<Option<Quota>>,
    auto_approve: Option<bool>,
    policy_id: Option<String>,
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct PlanQuery {
    /// 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
    /// Words in name or description.
    q: String,
    /// `name`, `-name`, `created_at` or `-created_at`.
    sort: String,
}

impl From<proto::Plan> for Plan {
    fn from(from: proto::Plan) -> Self {
        Self {
            id: from.id,
            name: from.name,
            description: from.description,
            scopes: Scopes(from.scopes),
            rate: from.rate.map(|rate| Rate {
                requests: rate.requests,
                per_seconds: rate.per_seconds,
            }),
            quota: from.quota.map(|quota| Quota {
                requests: quota.requests,
                renews_every_seconds: quota.renews_every_seconds,
            }),
            auto_approve: from.auto_approve,
            policy_id: given(from.policy_id),
            status: from.status,
            version: from.version,
            created_at: given(from.created_at),
            updated_at: given(from.updated_at),
        }
    }
}

impl From<Rate> for proto::Rate {
    fn from(from: Rate) -> Self {
        Self {
            requests: from.requests,
            per_seconds: from.per_seconds,
        }
    }
}

impl From<Quota> for proto::Quota {
    fn from(from: Quota) -> Self {
        Self {
            requests: from.requests,
            renews_every_seconds: from.renews_every_seconds,
        }
    }
}

impl From<proto::Plan> for Single<Plan> {
    fn from(from: proto::Plan) -> Self {
        Self::ok(from.version, from.into())
    }
}

/// Plans.
#[utoipa::path(get, path = "/plans", tag = "Plans", params(PlanQuery), responses((status = 200, body = List<Plan>)))]
async fn list_plans(ask: Ask, Query(query): Query<PlanQuery>) -> Result<List<Plan>> {
    let request = ListPlansRequest {
        limit: query.limit,
        after: query.after,
        q: query.q,
        sort: query.sort,
    };
    let page = ask
        .catalog()
        .list_plans(ask.request(request))
        .await?
        .into_inner();
    Ok(List::new(page.plans, page.next))
}

/// Creates a plan.
#[utoipa::path(post, path = "/plans", tag = "Plans", request_body = NewPlan, responses((status = 201, body = Plan)))]
async fn create_plan(ask: Ask, Body(new): Body<NewPlan>) -> Result<Single<Plan>> {
    let request = CreatePlanRequest {
        name: new.name,
        description: new.description,
        scopes: new.scopes.0,
        rate: new.rate.map(Into::into),
        quota: new.quota.map(Into::into),
        auto_approve: new.auto_approve,
        policy_id: new.policy_id,
    };
    let plan = ask
        .catalog()
        .create_plan(ask.request(request))
        .await?
        .into_inner();
    Ok(Single::created(
        &format!("plans/{}", plan.id),
        plan.version,
        plan.into(),
    ))
}

/// One plan.
#[utoipa::path(get, path = "/plans/{id}", tag = "Plans", responses((status = 200, body = Plan)))]
async fn get_plan(ask: Ask, Id(id): Id) -> Result<Single<Plan>> {
    let request = ask.request(GetPlanRequest { id });
    Ok(ask.catalog().get_plan(request).await?.into_inner().into())
}

/// Changes what is given.
#[utoipa::path(patch, path = "/plans/{id}", tag = "Plans", request_body = PlanChange, responses((status = 200, body = Plan)))]
async fn update_plan(
    ask: Ask,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
    Body(change): Body<PlanChange>,
) -> Result<Single<Plan>> {
    let request = UpdatePlanRequest {
        id,
        if_version,
        name: change.name,
        description: change.description,
        scopes: change.scopes.map(|scopes| StringList { values: scopes.0 }),
        remove_rate: matches!(change.rate, Some(None)),
        remove_quota: matches!(change.quota, Some(None)),
        rate: change.rate.flatten().map(Into::into),
        quota: change.quota.flatten().map(Into::into),
        auto_approve: change.auto_approve,
        policy_id: change.policy_id,
    };
    Ok(ask
        .catalog()
        .update_plan(ask.request(request))
        .await?
        .into_inner()
        .into())
}

/// Takes it away from new requests; access that was given stays.
#[utoipa::path(delete, path = "/plans/{id}", tag = "Plans", responses((status = 204)))]
async fn delete_plan(ask: Ask, Id(id): Id, IfMatch(if_version): IfMatch) -> Result<StatusCode> {
    let request = ask.request(DeletePlanRequest { id, if_version });
    ask.catalog().delete_plan(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
