//! `/parked-messages`: events that a service could not handle.

use axum::{Json, extract::Path};
use http::StatusCode;
use portico_proto::{
    Error,
    operations::v1::{
        self as proto, ListParkedMessagesRequest, ParkedMessagesRequest,
        operations_service_server::OperationsService as _,
    },
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::given,
    input::{Body, Query},
};
use crate::edge::{
    Edge,
    ask::Ask,
    operations::{self, Operations},
    problem::Result,
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_parked_messages))
        .routes(routes!(replay_parked_message))
        .routes(routes!(drop_parked_message))
        .routes(routes!(replay_parked_messages))
        .routes(routes!(drop_parked_messages))
}

/// A page of parked messages.
#[derive(Serialize, ToSchema)]
struct ParkedMessages {
    /// Service by service, those parked last first.
    items: Vec<ParkedMessage>,
    /// `after` of the next page; null where this is the last.
    next: Option<String>,
    /// Services that could not be asked.
    unreachable: Vec<String>,
}

/// A message without its content.
#[derive(Serialize, ToSchema)]
struct ParkedMessage {
    /// Whose consumer it is.
    service: String,
    /// Of the event.
    id: String,
    consumer: String,
    /// Type of the event.
    subject: String,
    /// Why it could not be handled, the last time.
    reason: String,
    /// How often that was tried, in all.
    attempts: u32,
    first_parked_at: String,
    last_parked_at: String,
    /// `parked`, `replaying` or `dropped`.
    status: String,
    dropped_at: Option<String>,
    /// The admin's id.
    dropped_by: Option<String>,
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct ParkedQuery {
    /// 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
    /// `catalog`, `access-request`, `registration`, `gateway`, `notification` or `accounts`.
    service: String,
    consumer: String,
    /// Type of the event.
    subject: String,
    /// `parked`, `replaying` or `dropped`; without it, those that were not dropped.
    status: String,
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct ConsumerQuery {
    /// Only of this consumer, where several of the service have parked the message.
    consumer: String,
}

/// All messages of a consumer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OfConsumer {
    service: String,
    consumer: String,
}

#[derive(Serialize, ToSchema)]
struct Count {
    /// How many messages it is about.
    count: u32,
}

impl From<proto::ParkedMessage> for ParkedMessage {
    fn from(from: proto::ParkedMessage) -> Self {
        Self {
            service: from.service,
            id: from.id,
            consumer: from.consumer,
            subject: from.subject,
            reason: from.reason,
            attempts: from.attempts,
            first_parked_at: from.first_parked_at,
            last_parked_at: from.last_parked_at,
            status: from.status,
            dropped_at: given(from.dropped_at),
            dropped_by: given(from.dropped_by),
        }
    }
}

/// Messages that could not be handled.
#[utoipa::path(get, path = "/parked-messages", tag = "Operations", params(ParkedQuery), responses((status = 200, body = ParkedMessages)))]
async fn list_parked_messages(
    ask: Ask,
    Query(query): Query<ParkedQuery>,
) -> Result<Json<ParkedMessages>> {
    let request = ask.request(ListParkedMessagesRequest {
        limit: query.limit,
        after: query.after,
        service: query.service,
        consumer: query.consumer,
        subject: query.subject,
        status: query.status,
    });
    let page = Operations::new(ask.edge())
        .list_parked_messages(request)
        .await?
        .into_inner();
    Ok(Json(ParkedMessages {
        items: page.messages.into_iter().map(Into::into).collect(),
        next: given(page.next),
        unreachable: page.unreachable,
    }))
}

/// Has it handled again, within seconds. If that fails, it is parked again with the new reason.
#[utoipa::path(post, path = "/parked-messages/{service}/{id}/replay", tag = "Operations", params(("service" = String, Path), ("id" = String, Path), ConsumerQuery), responses((status = 202, body = Count)))]
async fn replay_parked_message(
    ask: Ask,
    Path((service, id)): Path<(String, String)>,
    Query(query): Query<ConsumerQuery>,
) -> Result<(StatusCode, Json<Count>)> {
    let service = existing(service)?;
    replay(&ask, service, query.consumer, id).await
}

/// Gives it up. Who did it and when is kept.
#[utoipa::path(delete, path = "/parked-messages/{service}/{id}", tag = "Operations", params(("service" = String, Path), ("id" = String, Path), ConsumerQuery), responses((status = 204)))]
async fn drop_parked_message(
    ask: Ask,
    Path((service, id)): Path<(String, String)>,
    Query(query): Query<ConsumerQuery>,
) -> Result<StatusCode> {
    let service = existing(service)?;
    give_up(&ask, service, query.consumer, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has all parked messages of a consumer handled again.
#[utoipa::path(post, path = "/parked-messages/replay", tag = "Operations", request_body = OfConsumer, responses((status = 202, body = Count)))]
async fn replay_parked_messages(
    ask: Ask,
    Body(all): Body<OfConsumer>,
) -> Result<(StatusCode, Json<Count>)> {
    replay(&ask, all.service, all.consumer, String::new()).await
}

/// Gives all parked messages of a consumer up.
#[utoipa::path(post, path = "/parked-messages/drop", tag = "Operations", request_body = OfConsumer, responses((status = 200, body = Count)))]
async fn drop_parked_messages(ask: Ask, Body(all): Body<OfConsumer>) -> Result<Json<Count>> {
    let count = give_up(&ask, all.service, all.consumer, String::new()).await?;
    Ok(Json(Count { count }))
}

/// The service in a path.
fn existing(service: String) -> Result<String> {
    if operations::is_service(&service) {
        return Ok(service);
    }
    Err(Error::not_found("parked message").into())
}

async fn replay(
    ask: &Ask,
    service: String,
    consumer: String,
    id: String,
) -> Result<(StatusCode, Json<Count>)> {
    let request = ask.request(ParkedMessagesRequest {
        service,
        consumer,
        id,
    });
    let done = Operations::new(ask.edge())
        .replay_parked_messages(request)
        .await?;
    let count = done.into_inner().count;
    Ok((StatusCode::ACCEPTED, Json(Count { count })))
}

async fn give_up(ask: &Ask, service: String, consumer: String, id: String) -> Result<u32> {
    let request = ask.request(ParkedMessagesRequest {
        service,
        consumer,
        id,
    });
    let done = Operations::new(ask.edge())
        .drop_parked_messages(request)
        .await?;
    Ok(done.into_inner().count)
}
