//! `/applications/{id}/api-keys` and `/api-keys`: keys of products without OAuth credentials.

use axum::Json;
use portico_proto::gateway::v1::{
    self as proto, ListApiKeysRequest, ReplaceApiKeyRequest, RevealApiKeyRequest,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single, Unstored, given},
    input::{Id, IfMatch},
};
use crate::edge::{Edge, curl::call_with_key, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_api_keys))
        .routes(routes!(reveal_api_key))
        .routes(routes!(replace_api_key))
}

/// A product's key for one application at one gateway; never the key itself.
#[derive(Serialize, ToSchema)]
pub(super) struct ApiKey {
    id: String,
    /// Access request that it was made for; revoking that deletes the key.
    access_request_id: String,
    application_id: String,
    product_id: String,
    product_name: String,
    plan_id: String,
    plan_name: String,
    gateway_id: String,
    gateway_name: String,
    /// `waiting`, `ready`, `replacing`, `suspended`, `failed` or `deleting`.
    status: String,
    /// The beginning of what the gateway calls it; null until it is made.
    hash_prefix: Option<String>,
    created_at: Option<String>,
    /// Whether its owner has seen it; it is not kept then.
    revealed: bool,
    revealed_at: Option<String>,
    /// The header that callers send it in, as it is, unless an API names another one.
    header_name: String,
    apis: Vec<OpenedApi>,
    /// The gateway's own message where it failed.
    last_error: Option<String>,
    next_try_at: Option<String>,
    version: u64,
}

/// What a key opens.
#[derive(Serialize, ToSchema)]
struct OpenedApi {
    api_id: String,
    name: String,
    url: Option<String>,
    /// The header that this API wants the key in.
    header_name: String,
    /// A ready-made call, with the key in the shell's variable `API_KEY`.
    command: Option<String>,
}

/// A key, shown once.
#[derive(Serialize, ToSchema)]
struct RevealedKey {
    /// Copy it now; it will not be shown again.
    key: String,
    api_key: ApiKey,
}

impl From<proto::ApiKey> for ApiKey {
    fn from(from: proto::ApiKey) -> Self {
        let header = from.header_name;
        let apis = from.apis.into_iter().map(|api| {
            let url = given(api.url);
            let header = from.header_names.get(&api.api_id).unwrap_or(&header);
            OpenedApi {
                api_id: api.api_id,
                name: api.name,
                header_name: header.clone(),
                command: url.as_deref().map(|url| call_with_key(url, header, None)),
                url,
            }
        });
        Self {
            apis: apis.collect(),
            id: from.id,
            access_request_id: from.request_id,
            application_id: from.application_id,
            product_id: from.product_id,
            product_name: from.product_name,
            plan_id: from.plan_id,
            plan_name: from.plan_name,
            gateway_id: from.gateway_id,
            gateway_name: from.gateway_name,
            status: from.status,
            hash_prefix: given(from.hash_prefix),
            created_at: given(from.created_at),
            revealed: !from.revealed_at.is_empty(),
            revealed_at: given(from.revealed_at),
            header_name: header,
            last_error: given(from.last_error),
            next_try_at: given(from.next_try_at),
            version: from.version,
        }
    }
}

/// The API keys of an application, without the keys themselves.
#[utoipa::path(get, path = "/applications/{id}/api-keys", tag = "Credentials", responses((status = 200, body = List<ApiKey>)))]
async fn list_api_keys(ctx: RequestContext, Id(application_id): Id) -> Result<List<ApiKey>> {
    let request = ctx.request(ListApiKeysRequest { application_id });
    let answer = ctx.gateway().list_api_keys(request).await?.into_inner();
    Ok(List::new(answer.api_keys, String::new()))
}

/// Reveals an API key to the application's owner, once; it is not stored afterwards. Recorded.
#[utoipa::path(post, path = "/api-keys/{id}/reveal", tag = "Credentials", responses((status = 200, body = RevealedKey)))]
async fn reveal_api_key(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
) -> Result<Unstored<Json<RevealedKey>>> {
    let request = ctx.request(RevealApiKeyRequest { id, if_version });
    let answer = ctx.gateway().reveal_api_key(request).await?.into_inner();
    Ok(Unstored(Json(RevealedKey {
        key: answer.key,
        api_key: answer.api_key.unwrap_or_default().into(),
    })))
}

/// Replaces an API key. The old key works until the new one exists.
#[utoipa::path(post, path = "/api-keys/{id}/replace", tag = "Credentials", responses((status = 202, body = ApiKey)))]
async fn replace_api_key(
    ctx: RequestContext,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
) -> Result<Single<ApiKey>> {
    let request = ctx.request(ReplaceApiKeyRequest { id, if_version });
    let key = ctx.gateway().replace_api_key(request).await?.into_inner();
    let path = format!("applications/{}/api-keys", key.application_id);
    Ok(Single::accepted(&path, key.version, key.into()))
}
