//! `/access-requests/{id}/preview`: what an approval would send and change.

use axum::Json;
use portico_proto::{
    Error, Kind,
    access::v1::{
        AccessRequest, ApiKeyCredential, Application, ApprovedApi, ApprovedItem, ApprovedQuota,
        ApprovedRate, GetApplicationRequest, RequestedItem,
    },
    catalog::v1::{Api, GetPlanRequest, GetProductRequest},
    gateway::v1::{
        PreviewMappingRequest, PreviewMappingResponse, PreviewedKey,
        preview_mapping_request::Credential,
    },
    registration::v1::PreviewRegistrationRequest,
    rest::Enumeration as _,
};
use portico_runtime::ServiceName;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{access_requests::find, answer::given, input::Id};
use crate::edge::{Edge, halves::Halves, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(preview_access_request))
}

/// What an approval would do; nothing of it is done.
#[derive(Default, Serialize, ToSchema)]
pub(in crate::edge) struct Preview {
    /// `register` a new client, `update` the application's client, or `create_keys`; null where it is not known.
    pub(in crate::edge) action: Option<String>,
    /// HTTP method and address of the call.
    pub(in crate::edge) method: Option<String>,
    pub(in crate::edge) endpoint: Option<String>,
    /// Its body, secrets redacted; of API keys one entry for each in `keys`. Null where it is not known.
    #[schema(value_type = Option<Object>)]
    pub(in crate::edge) payload: Option<Map<String, Value>>,
    /// Scopes that the provider does not announce.
    pub(in crate::edge) scopes_missing_at_provider: Vec<String>,
    /// What would change at the gateway, in words.
    pub(in crate::edge) mapping_changes: Vec<String>,
    /// What stands in the way now: the provider is paused, the client is parked, the application is suspended, another
    /// product's clients still hold a scope.
    pub(in crate::edge) obstacles: Vec<String>,
    /// Services that could not be asked: `registration` or `gateway`.
    pub(in crate::edge) incomplete: Vec<String>,
}

/// Dry run of an approval: the registration that would be sent, and what would change at the gateway.
#[utoipa::path(post, path = "/access-requests/{id}/preview", tag = "Access requests", responses((status = 200, body = Preview)))]
async fn preview_access_request(ctx: RequestContext, Id(id): Id) -> Result<Json<Preview>> {
    Ok(Json(dry_run(&ctx, &id).await?))
}

/// What an approval of this request would send and change.
pub(in crate::edge) async fn dry_run(ctx: &RequestContext, id: &str) -> Result<Preview> {
    let mut request = find(ctx, id).await?;
    let application = ctx.request(GetApplicationRequest {
        id: request.application_id.clone(),
    });
    let application = ctx.access().get_application(application).await?;
    let application = application.into_inner();
    let mut items = Vec::with_capacity(request.items.len());
    for item in std::mem::take(&mut request.items) {
        items.push(as_approved(ctx, item).await?);
    }
    let keys = request.client_type_id.is_none();
    let mapping = PreviewMappingRequest {
        application_id: application.id.clone(),
        items,
        credential: Some(match keys {
            true => Credential::ApiKey(ApiKeyCredential {}),
            false => Credential::IdentityProviderId(request.identity_provider_id().to_owned()),
        }),
    };
    match keys {
        true => of_keys(ctx, mapping).await,
        false => of_client(ctx, &request, application, mapping).await,
    }
}

/// Registration says what is sent to the identity provider, the gateway service what changes at gateways.
async fn of_client(
    ctx: &RequestContext,
    request: &AccessRequest,
    application: Application,
    mapping: PreviewMappingRequest,
) -> Result<Preview> {
    let items = mapping.items.iter();
    let mut scopes: Vec<String> = items
        .flat_map(|item| item.product_scopes.iter().chain(&item.plan_scopes))
        .cloned()
        .collect();
    scopes.sort_unstable();
    scopes.dedup();
    let client = PreviewRegistrationRequest {
        application_id: Some(application.id),
        application_name: application.name,
        redirect_urls: application.redirect_urls,
        client_type_id: request.client_type_id().to_owned(),
        scopes,
    };
    let (mut registration, mut gateway) = (ctx.registration(), ctx.gateway());
    let (client, mapping) = futures::join!(
        registration.preview_registration(ctx.request(client)),
        gateway.preview_mapping(ctx.request(mapping)),
    );
    let mut halves = Halves::default();
    let client = halves.take(ServiceName::Registration, client)?;
    let mapping = halves.take(ServiceName::Gateway, mapping)?;
    let action = client.action().as_word();
    let mut obstacles = client.obstacles;
    // Both know whether the application is suspended.
    let new = mapping.obstacles.into_iter();
    let new: Vec<String> = new.filter(|one| !obstacles.contains(one)).collect();
    obstacles.extend(new);
    Ok(Preview {
        action: given(action.to_owned()),
        method: given(client.method),
        endpoint: given(client.endpoint),
        payload: serde_json::from_str(&client.payload).ok(),
        scopes_missing_at_provider: client.scopes_missing_at_provider,
        mapping_changes: mapping.changes,
        obstacles,
        incomplete: halves.incomplete()?,
    })
}

/// Only the gateway service has to do with keys.
async fn of_keys(ctx: &RequestContext, mapping: PreviewMappingRequest) -> Result<Preview> {
    let request = ctx.request(mapping);
    let PreviewMappingResponse {
        changes,
        obstacles,
        keys,
    } = ctx.gateway().preview_mapping(request).await?.into_inner();
    Ok(Preview {
        action: Some("create_keys".to_owned()),
        method: Some("POST".to_owned()),
        endpoint: keys.last().map(|key| key.gateway_url.clone()),
        payload: Some(Map::from_iter([(
            "keys".to_owned(),
            keys.into_iter().map(payload).collect(),
        )])),
        mapping_changes: changes,
        obstacles,
        ..Preview::default()
    })
}

fn payload(key: PreviewedKey) -> Value {
    serde_json::json!({
        "gateway": key.gateway_name,
        "product": key.product_name,
        "apis": key.api_ids,
        "apply_policies": key.policies,
    })
}

/// An item as an approval would hand it over; without policies and APIs where product or plan was deleted meanwhile.
async fn as_approved(ctx: &RequestContext, item: RequestedItem) -> Result<ApprovedItem> {
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
    let request = ctx.request(GetProductRequest { id });
    if let Some(product) = there(ctx.catalog().get_product(request).await)? {
        approved.product_policy_id = product.mapping.and_then(|at| at.policy_id);
        let api = |api: Api| {
            let mapping = api.mapping.unwrap_or_default();
            ApprovedApi {
                api_id: mapping.api_id,
                name: api.name,
                url: api.url,
                gateway_id: mapping.gateway_id,
            }
        };
        approved.apis = product.apis.into_iter().map(api).collect();
    }
    let id = approved.plan_id.clone();
    let request = ctx.request(GetPlanRequest { id });
    if let Some(plan) = there(ctx.catalog().get_plan(request).await)? {
        approved.plan_policy_id = plan.mapping.and_then(|at| at.policy_id);
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
pub(in crate::edge) fn there<T>(
    answer: std::result::Result<tonic::Response<T>, tonic::Status>,
) -> Result<Option<T>> {
    match answer.map_err(Error::from) {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
