//! API tokens for my programs. A token is shown once, in answer to the form that makes it.

use axum::{
    Router,
    extract::{Path, Query},
    routing::{get, post},
};
use minijinja::{Value, context, value::Serde};
use portico_proto::{
    Error,
    accounts::v1::{CreateApiTokenRequest, ListApiTokensRequest, RevokeApiTokenRequest},
};

use super::{
    form::Posted,
    lists::Listing,
    page::{PageResponse, done, mendable, render},
};
use crate::edge::{Edge, request::RequestContext};

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/dashboard/api-tokens", get(tokens).post(make))
        .route("/dashboard/api-tokens/{id}/revoke", post(revoke))
}

async fn tokens(ctx: RequestContext, Query(listing): Query<Listing>) -> PageResponse {
    let form = context! { expires_in_days => 90 };
    list(&ctx, &listing, context! { form }, None).await
}

/// The first page of the list, with what a form typed or made.
async fn page(ctx: &RequestContext, shown: Value, error: Option<&Error>) -> PageResponse {
    list(ctx, &Listing::default(), shown, error).await
}

async fn list(
    ctx: &RequestContext,
    listing: &Listing,
    shown: Value,
    error: Option<&Error>,
) -> PageResponse {
    let request = ctx.request(ListApiTokensRequest {
        after: listing.after.clone(),
        sort: "-created_at".to_owned(),
        ..Default::default()
    });
    let answer = ctx.accounts().list_api_tokens(request).await?.into_inner();
    let tokens = Value::from(Serde(answer.api_tokens));
    let list = listing.shown(&answer.next);
    let shown = context! { tokens, list, ..shown };
    render(ctx, "developer/api_tokens.html", shown, error).await
}

async fn make(Posted { ctx, form }: Posted) -> PageResponse {
    let again = || context! { form => form.typed(&[]) };
    let days = match form.number("expires_in_days") {
        Ok(days) => days.map(|days| u32::try_from(days).unwrap_or(u32::MAX)),
        Err(error) => return page(&ctx, again(), Some(&error)).await,
    };
    let request = ctx.request(CreateApiTokenRequest {
        name: form.text("name"),
        expires_in_days: days,
    });
    match ctx.accounts().create_api_token(request).await {
        Ok(made) => {
            let form = context! { expires_in_days => 90 };
            page(
                &ctx,
                context! { form, made => made.into_inner().token },
                None,
            )
            .await
        }
        Err(status) => {
            let error = mendable(status)?;
            page(&ctx, again(), Some(&error)).await
        }
    }
}

async fn revoke(Path(id): Path<String>, Posted { ctx, .. }: Posted) -> PageResponse {
    let request = ctx.request(RevokeApiTokenRequest { id });
    ctx.accounts().revoke_api_token(request).await?;
    Ok(done("/dashboard/api-tokens", "token_revoked"))
}
