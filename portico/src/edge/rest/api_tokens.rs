//! `/api-tokens`: for programs, in their owner's name.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use portico_proto::accounts::v1::{
    self as proto, CreateApiTokenRequest, ListApiTokensRequest, RevokeApiTokenRequest,
};
use portico_runtime::Caller;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Unstored, given},
    input::{Body, Id, Query},
};
use crate::edge::{Edge, ask::Ask, problem::Result};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_api_tokens, create_api_token))
        .routes(routes!(revoke_api_token))
}

#[derive(Serialize, ToSchema)]
struct ApiToken {
    id: String,
    name: String,
    created_at: Option<String>,
    expires_at: Option<String>,
    last_used_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct MadeApiToken {
    #[serde(flatten)]
    api_token: ApiToken,
    /// Shown this once.
    token: String,
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct NewApiToken {
    name: String,
    /// 1 to 366; 90 where it is absent.
    expires_in_days: u32,
}

impl From<proto::ApiToken> for ApiToken {
    fn from(from: proto::ApiToken) -> Self {
        Self {
            id: from.id,
            name: from.name,
            created_at: given(from.created_at),
            expires_at: given(from.expires_at),
            last_used_at: given(from.last_used_at),
        }
    }
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct ApiTokenQuery {
    /// 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
    /// `created_at` or `-created_at`.
    sort: String,
}

/// The caller's API tokens, without the tokens themselves.
#[utoipa::path(get, path = "/api-tokens", tag = "Accounts", params(ApiTokenQuery), responses((status = 200, body = List<ApiToken>)))]
async fn list_api_tokens(ask: Ask, Query(query): Query<ApiTokenQuery>) -> Result<List<ApiToken>> {
    let request = ask.request(ListApiTokensRequest {
        limit: query.limit,
        after: query.after,
        sort: query.sort,
    });
    let page = ask.accounts().list_api_tokens(request).await?.into_inner();
    Ok(List::new(page.api_tokens, page.next))
}

/// Makes an API token; it is shown this once.
#[utoipa::path(post, path = "/api-tokens", tag = "Accounts", request_body = NewApiToken, responses((status = 201, body = MadeApiToken)))]
async fn create_api_token(ask: Ask, Body(new): Body<NewApiToken>) -> Result<Unstored<Response>> {
    let request = CreateApiTokenRequest {
        name: new.name,
        expires_in_days: new.expires_in_days,
    };
    let made = ask
        .accounts()
        .create_api_token(ask.request(request))
        .await?
        .into_inner();
    let answer = MadeApiToken {
        api_token: made.api_token.unwrap_or_default().into(),
        token: made.token,
    };
    Ok(Unstored(
        (StatusCode::CREATED, Json(answer)).into_response(),
    ))
}

/// An API token stops to work.
#[utoipa::path(delete, path = "/api-tokens/{id}", tag = "Accounts", responses((status = 204)))]
async fn revoke_api_token(ask: Ask, Id(id): Id) -> Result<StatusCode> {
    let request = ask.request(RevokeApiTokenRequest { id });
    ask.accounts().revoke_api_token(request).await?;
    if let Caller::User { id, .. } = ask.caller() {
        // Which of them it was, only accounts knows.
        ask.edge().auth.forget_user(&id.to_string());
    }
    Ok(StatusCode::NO_CONTENT)
}
