//! `/api-tokens`: for programs, in their owner's name.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use portico_proto::accounts::v1::{
    ApiToken, CreateApiTokenRequest, CreateApiTokenResponse, ListApiTokensRequest,
    RevokeApiTokenRequest,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Unstored},
    input::{Body, Id, Query},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_api_tokens, create_api_token))
        .routes(routes!(revoke_api_token))
}

/// The caller's API tokens, without the tokens themselves.
#[utoipa::path(get, path = "/api-tokens", tag = "Accounts", params(ListApiTokensRequest), responses((status = 200, body = List<ApiToken>)))]
async fn list_api_tokens(
    ctx: RequestContext,
    Query(query): Query<ListApiTokensRequest>,
) -> Result<List<ApiToken>> {
    let request = ctx.request(query);
    let page = ctx.accounts().list_api_tokens(request).await?.into_inner();
    Ok(List::new(page.api_tokens, page.next))
}

/// Creates an API token, which is shown only in this response.
#[utoipa::path(post, path = "/api-tokens", tag = "Accounts", request_body = CreateApiTokenRequest, responses((status = 201, body = CreateApiTokenResponse)))]
async fn create_api_token(
    ctx: RequestContext,
    Body(new): Body<CreateApiTokenRequest>,
) -> Result<Unstored<Response>> {
    let request = ctx.request(new);
    let created = ctx.accounts().create_api_token(request).await?.into_inner();
    Ok(Unstored(
        (StatusCode::CREATED, Json(created)).into_response(),
    ))
}

/// Revokes an API token.
#[utoipa::path(delete, path = "/api-tokens/{id}", tag = "Accounts", responses((status = 204)))]
async fn revoke_api_token(ctx: RequestContext, Id(id): Id) -> Result<StatusCode> {
    let request = ctx.request(RevokeApiTokenRequest { id });
    ctx.accounts().revoke_api_token(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
