//! `/parked-messages`: events that a service could not handle.

use axum::{Json, extract::Path};
use http::StatusCode;
use portico_proto::{
    Error,
    operations::v1::{
        ListParkedMessagesRequest, ListParkedMessagesResponse, ParkedMessagesRequest,
        ParkedMessagesResponse, operations_service_server::OperationsService as _,
    },
};
use portico_runtime::ServiceName;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::input::{Body, Query};
use crate::edge::{Edge, operations::Operations, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_parked_messages))
        .routes(routes!(replay_parked_message))
        .routes(routes!(drop_parked_message))
        .routes(routes!(replay_parked_messages))
        .routes(routes!(drop_parked_messages))
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct ConsumerQuery {
    /// Only of this consumer, where several of the service have parked the message.
    consumer: String,
}

/// Messages that could not be processed.
#[utoipa::path(get, path = "/parked-messages", tag = "Operations", params(ListParkedMessagesRequest), responses((status = 200, body = ListParkedMessagesResponse)))]
async fn list_parked_messages(
    ctx: RequestContext,
    Query(query): Query<ListParkedMessagesRequest>,
) -> Result<Json<ListParkedMessagesResponse>> {
    let request = ctx.request(query);
    let page = Operations::new(ctx.edge())
        .list_parked_messages(request)
        .await?;
    Ok(Json(page.into_inner()))
}

/// Processes the message again, within seconds. If that fails, it is parked again with the new reason.
#[utoipa::path(post, path = "/parked-messages/{service}/{id}/replay", tag = "Operations", params(ConsumerQuery), responses((status = 202, body = ParkedMessagesResponse)))]
async fn replay_parked_message(
    ctx: RequestContext,
    Path((service, id)): Path<(String, String)>,
    Query(query): Query<ConsumerQuery>,
) -> Result<(StatusCode, Json<ParkedMessagesResponse>)> {
    replay(&ctx, one(service, query.consumer, id)?).await
}

/// Drops the message. Who dropped it and when is kept.
#[utoipa::path(delete, path = "/parked-messages/{service}/{id}", tag = "Operations", params(ConsumerQuery), responses((status = 204)))]
async fn drop_parked_message(
    ctx: RequestContext,
    Path((service, id)): Path<(String, String)>,
    Query(query): Query<ConsumerQuery>,
) -> Result<StatusCode> {
    give_up(&ctx, one(service, query.consumer, id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Processes all parked messages of a consumer again.
#[utoipa::path(post, path = "/parked-messages/replay", tag = "Operations", request_body = ParkedMessagesRequest, responses((status = 202, body = ParkedMessagesResponse)))]
async fn replay_parked_messages(
    ctx: RequestContext,
    Body(all): Body<ParkedMessagesRequest>,
) -> Result<(StatusCode, Json<ParkedMessagesResponse>)> {
    replay(&ctx, all).await
}

/// Drops all parked messages of a consumer.
#[utoipa::path(post, path = "/parked-messages/drop", tag = "Operations", request_body = ParkedMessagesRequest, responses((status = 200, body = ParkedMessagesResponse)))]
async fn drop_parked_messages(
    ctx: RequestContext,
    Body(all): Body<ParkedMessagesRequest>,
) -> Result<Json<ParkedMessagesResponse>> {
    give_up(&ctx, all).await.map(Json)
}

/// The message in a path.
fn one(service: String, consumer: String, id: String) -> Result<ParkedMessagesRequest> {
    if ServiceName::named(&service).is_none() {
        return Err(Error::not_found("parked message").into());
    }
    Ok(ParkedMessagesRequest {
        service,
        consumer,
        id,
    })
}

async fn replay(
    ctx: &RequestContext,
    which: ParkedMessagesRequest,
) -> Result<(StatusCode, Json<ParkedMessagesResponse>)> {
    let done = Operations::new(ctx.edge())
        .replay_parked_messages(ctx.request(which))
        .await?;
    Ok((StatusCode::ACCEPTED, Json(done.into_inner())))
}

async fn give_up(
    ctx: &RequestContext,
    which: ParkedMessagesRequest,
) -> Result<ParkedMessagesResponse> {
    let done = Operations::new(ctx.edge())
        .drop_parked_messages(ctx.request(which))
        .await?;
    Ok(done.into_inner())
}
