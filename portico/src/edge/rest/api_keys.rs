//! `/applications/{id}/api-keys` and `/api-keys`: keys of products without OAuth credentials.

use axum::Json;
use portico_proto::gateway::v1::{
    ApiKey, ListApiKeysRequest, ReplaceApiKeyRequest, RevealApiKeyRequest, RevealApiKeyResponse,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single, Unstored},
    input::{Id, IfMatch},
};
use crate::edge::{Edge, curl::call_with_key, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_api_keys))
        .routes(routes!(reveal_api_key))
        .routes(routes!(replace_api_key))
}

/// With the ready-made calls.
pub(super) fn shown(mut key: ApiKey) -> ApiKey {
    for api in &mut key.apis {
        let url = api.url.as_deref();
        api.command = url.map(|url| call_with_key(url, &api.header_name, None));
    }
    key
}

/// The API keys of an application, without the keys themselves.
#[utoipa::path(get, path = "/applications/{id}/api-keys", tag = "Credentials", responses((status = 200, body = List<ApiKey>)))]
async fn list_api_keys(ctx: RequestContext, Id(application_id): Id) -> Result<List<ApiKey>> {
    let request = ctx.request(ListApiKeysRequest { application_id });
    let answer = ctx.gateway().list_api_keys(request).await?.into_inner();
    let keys = answer.api_keys.into_iter().map(shown);
    Ok(List::new(keys.collect(), String::new()))
}

/// Reveals an API key to the application's owner, once; it is not stored afterwards. Recorded.
#[utoipa::path(post, path = "/api-keys/{id}/reveal", tag = "Credentials", responses((status = 200, body = RevealApiKeyResponse)))]
async fn reveal_api_key(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
) -> Result<Unstored<Json<RevealApiKeyResponse>>> {
    let reveal = |if_version| {
        let id = id.clone();
        let request = ctx.request(RevealApiKeyRequest { id, if_version });
        let mut gateway = ctx.gateway();
        async move { Ok(gateway.reveal_api_key(request).await?.into_inner()) }
    };
    let answer = expected.one_of(reveal).await?;
    Ok(Unstored(Json(RevealApiKeyResponse {
        api_key: answer.api_key.map(shown),
        ..answer
    })))
}

/// Replaces an API key. The old key works until the new one exists.
#[utoipa::path(post, path = "/api-keys/{id}/replace", tag = "Credentials", responses((status = 202, body = ApiKey)))]
async fn replace_api_key(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
) -> Result<Single<ApiKey>> {
    let replace = |if_version| {
        let id = id.clone();
        let request = ctx.request(ReplaceApiKeyRequest { id, if_version });
        let mut gateway = ctx.gateway();
        async move { Ok(gateway.replace_api_key(request).await?.into_inner()) }
    };
    let key = expected.one_of(replace).await?;
    let path = format!("applications/{}/api-keys", key.application_id);
    Ok(Single::accepted(&path, key.version, shown(key)))
}
