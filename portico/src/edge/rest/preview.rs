//! `/access-requests/{id}/preview`: what an approval would send and change.

use axum::Json;
use portico_proto::{
    Error, Kind,
    access::v1::{
        ApprovedApi, ApprovedItem, ApprovedQuota, ApprovedRate, GetApplicationRequest,
        RequestedItem,
    },
    catalog::v1::{GetPlanRequest, GetProductRequest},
    registration::v1::{PreviewRegistrationRequest, PreviewRegistrationResponse},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{access_requests::find, input::Id};
use crate::edge::{Edge, ask::Ask, problem::Result};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(preview_access_request))
}

/// What an approval would do; nothing of it is done.
#[derive(Serialize, ToSchema)]
struct Preview {
    /// `register` a new client, `update` the application's client, or `create_keys`.
    action: String,
    /// HTTP method and address of the call.
    method: String,
    endpoint: String,
    /// Its body, secrets redacted.
    #[schema(value_type = Object)]
    payload: Value,
    /// Scopes that the provider does not announce.
    scopes_missing_at_provider: Vec<String>,
    /// What would change at the gateway, in words.
    mapping_changes: Vec<String>,
    /// What stands in the way now: the provider is paused, the client is parked, the application is suspended.
    obstacles: Vec<String>,
}

/// The dry run of an approval: the registration that would be sent, and what would change at the gateway.
#[utoipa::path(post, path = "/access-requests/{id}/preview", tag = "Access requests", responses((status = 200, body = Preview)))]
async fn preview_access_request(ask: Ask, Id(id): Id) -> Result<Json<Preview>> {
    let answer = dry_run(&ask, &id).await?;
    Ok(Json(Preview {
        action: answer.action,
        method: answer.method,
        endpoint: answer.endpoint,
        payload: serde_json::from_str(&answer.payload_json).unwrap_or_default(),
        scopes_missing_at_provider: answer.scopes_missing_at_provider,
        mapping_changes: answer.mapping_changes,
        obstacles: answer.obstacles,
    }))
}

/// What an approval of this request would send and change.
pub(in crate::edge) async fn dry_run(ask: &Ask, id: &str) -> Result<PreviewRegistrationResponse> {
    let request = find(ask, id).await?;
    let application = GetApplicationRequest {
        id: request.application_id.clone(),
    };
    let application = ask
        .access()
        .get_application(ask.request(application))
        .await?
        .into_inner();
    let mut items = Vec::with_capacity(request.items.len());
    for item in request.items {
        items.push(as_approved(ask, item).await?);
    }
    let preview = PreviewRegistrationRequest {
        application_id: application.id,
        application_name: application.name,
        redirect_urls: application.redirect_urls,
        client_type_id: request.client_type_id,
        items,
        ..Default::default()
    };
    let answer = ask
        .registration()
        .preview_registration(ask.request(preview))
        .await?;
    Ok(answer.into_inner())
}

/// An item as an approval would hand it over; without policies and APIs where product or plan was deleted meanwhile.
async fn as_approved(ask: &Ask, item: RequestedItem) -> Result<ApprovedItem> {
    let mut approved = ApprovedItem {
        product_id: item.product_id,
        product_name: item.product_name,
        product_scopes: item.product_scopes,
        plan_id: item.plan_id,
        plan_name: item.plan_name,
        plan_scopes: item.plan_scopes,
        ..Default::default()
    };
    let id = approved.product_id.clone();
    if let Some(product) = there(
        ask.catalog()
            .get_product(ask.request(GetProductRequest { id }))
            .await,
    )? {
        approved.product_policy_id = product.policy_id.unwrap_or_default();
        approved.apis = product
            .apis
            .into_iter()
            .map(|api| ApprovedApi {
                api_id: api.api_id,
                name: api.name,
                url: api.url,
                gateway_id: api.gateway_id.unwrap_or_default(),
            })
            .collect();
    }
    let id = approved.plan_id.clone();
    if let Some(plan) = there(
        ask.catalog()
            .get_plan(ask.request(GetPlanRequest { id }))
            .await,
    )? {
        approved.plan_policy_id = plan.policy_id.unwrap_or_default();
        approved.rate = plan.rate.map(|rate| ApprovedRate {
            requests: rate.requests,
            per_seconds: rate.per_seconds,
        });
        approved.quota = plan.quota.map(|quota| ApprovedQuota {
            requests: quota.requests,
            renews_every_seconds: quota.renews_every_seconds,
        });
    }
    Ok(approved)
}

/// The answer, or none where there is no such thing.
fn there<T>(answer: std::result::Result<tonic::Response<T>, tonic::Status>) -> Result<Option<T>> {
    match answer.map_err(Error::from) {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
