//! The API keys of an application. A key is on the page once, when its owner asks for it by a form.

use axum::{Router, extract::Path, routing::post};
use minijinja::Value;
use portico_proto::gateway::v1::{ListApiKeysRequest, ReplaceApiKeyRequest, RevealApiKeyRequest};
use portico_runtime::ServiceName;
use portico_vault::Secret;

use super::{
    applications,
    credentials::Revealed,
    form::Posted,
    page::{ANY_VERSION, PageResponse},
    show,
};
use crate::edge::{Edge, operations::reached, problem::Result, request::RequestContext};

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route(
            "/dashboard/applications/{id}/api-keys/{key}/reveal",
            post(reveal),
        )
        .route(
            "/dashboard/applications/{id}/api-keys/{key}/replace",
            post(replace),
        )
}

async fn reveal(
    Path((id, key)): Path<(String, String)>,
    Posted { ctx, .. }: Posted,
) -> PageResponse {
    let request = ctx.request(RevealApiKeyRequest {
        id: key.clone(),
        if_version: ANY_VERSION,
    });
    match ctx.gateway().reveal_api_key(request).await {
        Ok(answer) => {
            let shown = Revealed::Key(key, Secret::new(answer.into_inner().key));
            applications::page(&ctx, &id, shown, None).await
        }
        Err(status) => applications::answered(&ctx, &id, Err(status)).await,
    }
}

async fn replace(
    Path((id, key)): Path<(String, String)>,
    Posted { ctx, .. }: Posted,
) -> PageResponse {
    let request = ctx.request(ReplaceApiKeyRequest {
        id: key,
        if_version: ANY_VERSION,
    });
    let answer = ctx.gateway().replace_api_key(request).await;
    applications::answered(&ctx, &id, answer.map(|_| "key_replaced")).await
}

/// For the template; with the one that was just revealed. None while the gateway service cannot be reached.
pub(super) async fn of_application(
    ctx: &RequestContext,
    application_id: &str,
    revealed: &Revealed,
) -> Result<Option<Vec<Value>>> {
    let request = ctx.request(ListApiKeysRequest {
        application_id: application_id.to_owned(),
    });
    let answer = ctx.gateway().list_api_keys(request).await;
    let Some(answer) = reached(ServiceName::Gateway, answer, &mut Vec::new())? else {
        return Ok(None);
    };
    let shown = |id: &str| match revealed {
        Revealed::Key(one, key) if one == id => Some(key.expose()),
        Revealed::Key(..) | Revealed::Nothing | Revealed::All(_) => None,
    };
    let keys = answer.api_keys.iter();
    Ok(Some(
        keys.map(|key| show::api_key(key, shown(&key.id))).collect(),
    ))
}
