//! API tokens for my programs. A token is shown once, in answer to the form that makes it.

use axum::{
    Router,
    extract::Path,
    routing::{get, post},
};
use minijinja::{Value, context};
use portico_proto::{
    Error,
    accounts::v1::{CreateApiTokenRequest, ListApiTokensRequest, RevokeApiTokenRequest},
};

use super::{
    dashboard::own_id,
    form::Posted,
    show,
    view::{Page, Shown, done, mendable},
};
use crate::edge::{Edge, ask::Ask};

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/dashboard/api-tokens", get(tokens).post(make))
        .route("/dashboard/api-tokens/{id}/revoke", post(revoke))
}

async fn tokens(ask: Ask) -> Shown {
    let form = context! { expires_in_days => 90 };
    page(&ask, context! { form }, None).await
}

async fn page(ask: &Ask, shown: Value, error: Option<&Error>) -> Shown {
    let request = ask.request(ListApiTokensRequest {});
    let all = ask
        .accounts()
        .list_api_tokens(request)
        .await?
        .into_inner()
        .api_tokens;
    let tokens: Vec<Value> = all.iter().map(show::api_token).collect();
    let page = Page::new("api_tokens.html").refused_if(error);
    page.show(ask, context! { tokens, ..shown }).await
}

async fn make(Posted { ask, form }: Posted) -> Shown {
    let again = || context! { form => form.typed(&[]) };
    let days = match form.number("expires_in_days") {
        Ok(days) => u32::try_from(days.unwrap_or_default()).unwrap_or(u32::MAX),
        Err(error) => return page(&ask, again(), Some(&error)).await,
    };
    let request = CreateApiTokenRequest {
        name: form.text("name"),
        expires_in_days: days,
    };
    match ask.accounts().create_api_token(ask.request(request)).await {
        Ok(made) => {
            let form = context! { expires_in_days => 90 };
            page(
                &ask,
                context! { form, made => made.into_inner().token },
                None,
            )
            .await
        }
        Err(status) => {
            let error = mendable(status)?;
            page(&ask, again(), Some(&error)).await
        }
    }
}

async fn revoke(Path(id): Path<String>, Posted { ask, .. }: Posted) -> Shown {
    let request = ask.request(RevokeApiTokenRequest { id });
    ask.accounts().revoke_api_token(request).await?;
    // Which of their tokens it was, only accounts knows.
    ask.edge().auth.forget_user(&own_id(&ask));
    Ok(done("/dashboard/api-tokens", "token_revoked"))
}
