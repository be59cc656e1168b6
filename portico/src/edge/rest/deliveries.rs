//! `/deliveries`: e-mails, and what became of them.

use portico_proto::notification::v1::{
    self as proto, GetDeliveryRequest, ListDeliveriesRequest, ResendDeliveryRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single, given},
    input::{Id, IfMatch, Query},
};
use crate::edge::{Edge, ask::Ask, problem::Result};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_deliveries))
        .routes(routes!(get_delivery))
        .routes(routes!(resend_delivery))
}

/// One e-mail to one person.
#[derive(Serialize, ToSchema)]
struct Delivery {
    id: String,
    template: String,
    recipient_id: String,
    /// `queued`, `sending`, `sent` or `failed`.
    status: String,
    attempts: u32,
    /// The mail server's own words.
    last_error: Option<String>,
    next_try_at: Option<String>,
    /// The access request that it is about.
    subject_id: Option<String>,
    message_id: Option<String>,
    created_at: Option<String>,
    sent_at: Option<String>,
    version: u64,
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct DeliveryQuery {
    /// 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
    status: String,
    /// The access request that it is about.
    subject_id: String,
    /// `-created_at` or `created_at`.
    sort: String,
}

impl From<proto::Delivery> for Delivery {
    fn from(from: proto::Delivery) -> Self {
        Self {
            id: from.id,
            template: from.template,
            recipient_id: from.recipient_id,
            status: from.status,
            attempts: from.attempts,
            last_error: given(from.last_error),
            next_try_at: given(from.next_try_at),
            subject_id: given(from.subject_id),
            message_id: given(from.message_id),
            created_at: given(from.created_at),
            sent_at: given(from.sent_at),
            version: from.version,
        }
    }
}

/// E-mails, the newest first.
#[utoipa::path(get, path = "/deliveries", tag = "E-mail", params(DeliveryQuery), responses((status = 200, body = List<Delivery>)))]
async fn list_deliveries(ask: Ask, Query(query): Query<DeliveryQuery>) -> Result<List<Delivery>> {
    let request = ListDeliveriesRequest {
        limit: query.limit,
        after: query.after,
        status: query.status,
        subject_id: query.subject_id,
        sort: query.sort,
    };
    let page = ask
        .notification()
        .list_deliveries(ask.request(request))
        .await?
        .into_inner();
    Ok(List::new(page.deliveries, page.next))
}

/// One e-mail.
#[utoipa::path(get, path = "/deliveries/{id}", tag = "E-mail", responses((status = 200, body = Delivery)))]
async fn get_delivery(ask: Ask, Id(id): Id) -> Result<Single<Delivery>> {
    let delivery = find(&ask, &id).await?;
    Ok(Single::ok(delivery.version, delivery.into()))
}

async fn find(ask: &Ask, id: &str) -> Result<proto::Delivery> {
    let request = ask.request(GetDeliveryRequest { id: id.to_owned() });
    Ok(ask.notification().get_delivery(request).await?.into_inner())
}

/// Sends it once more.
#[utoipa::path(post, path = "/deliveries/{id}/resend", tag = "E-mail", responses((status = 202, body = Delivery)))]
async fn resend_delivery(ask: Ask, Id(id): Id, expected: IfMatch) -> Result<Single<Delivery>> {
    expected
        .require(async { Ok(find(&ask, &id).await?.version) })
        .await?;
    let request = ask.request(ResendDeliveryRequest { id });
    let delivery = ask
        .notification()
        .resend_delivery(request)
        .await?
        .into_inner();
    Ok(Single::accepted(
        &format!("deliveries/{}", delivery.id),
        delivery.version,
        delivery.into(),
    ))
}
