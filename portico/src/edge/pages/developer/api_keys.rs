//! The API keys of an application. A key is on the page once, when its owner asks for it by a form.

use axum::{Router, extract::Path, routing::post};
use minijinja::Value;
use portico_proto::registration::v1::{
    ListApiKeysRequest, ReplaceApiKeyRequest, RevealApiKeyRequest,
};
use portico_vault::Secret;

use super::{
    applications,
    credentials::Revealed,
    form::Posted,
    show,
    view::{ANY_VERSION, Shown, done, mendable},
};
use crate::edge::{Edge, ask::Ask, problem::Result};

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

async fn reveal(Path((id, key)): Path<(String, String)>, Posted { ask, .. }: Posted) -> Shown {
    let request = RevealApiKeyRequest {
        id: key.clone(),
        if_version: ANY_VERSION,
    };
    match ask
        .registration()
        .reveal_api_key(ask.request(request))
        .await
    {
        Ok(answer) => {
            let shown = Revealed::Key(key, Secret::new(answer.into_inner().key));
            applications::page(&ask, &id, shown, None).await
        }
        Err(status) => {
            let error = mendable(status)?;
            applications::page(&ask, &id, Revealed::Nothing, Some(&error)).await
        }
    }
}

async fn replace(Path((id, key)): Path<(String, String)>, Posted { ask, .. }: Posted) -> Shown {
    let request = ReplaceApiKeyRequest {
        id: key,
        if_version: ANY_VERSION,
    };
    match ask
        .registration()
        .replace_api_key(ask.request(request))
        .await
    {
        Ok(_) => Ok(done(
            &format!("/dashboard/applications/{id}"),
            "key_replaced",
        )),
        Err(status) => {
            let error = mendable(status)?;
            applications::page(&ask, &id, Revealed::Nothing, Some(&error)).await
        }
    }
}

/// For the template; with the one that was just revealed.
pub(super) async fn of_application(
    ask: &Ask,
    application_id: &str,
    revealed: &Revealed,
) -> Result<Vec<Value>> {
    let request = ask.request(ListApiKeysRequest {
        application_id: application_id.to_owned(),
    });
    let keys = ask.registration().list_api_keys(request).await?;
    let keys = keys.into_inner().api_keys;
    let shown = |id: &str| match revealed {
        Revealed::Key(one, key) if one == id => Some(key.expose()),
        Revealed::Key(..) | Revealed::Nothing | Revealed::All(_) => None,
    };
    Ok(keys
        .iter()
        .map(|key| show::api_key(key, shown(&key.id)))
        .collect())
}
