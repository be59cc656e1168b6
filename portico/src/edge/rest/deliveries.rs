//! `/deliveries`: e-mails, and what became of them.

use portico_proto::notification::v1::{
    Delivery, GetDeliveryRequest, ListDeliveriesRequest, ResendDeliveryRequest,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single},
    input::{Id, IfMatch, Query},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_deliveries))
        .routes(routes!(get_delivery))
        .routes(routes!(resend_delivery))
}

/// E-mails.
#[utoipa::path(get, path = "/deliveries", tag = "E-mail", params(ListDeliveriesRequest), responses((status = 200, body = List<Delivery>)))]
async fn list_deliveries(
    ctx: RequestContext,
    Query(query): Query<ListDeliveriesRequest>,
) -> Result<List<Delivery>> {
    let request = ctx.request(query);
    let page = ctx.notification().list_deliveries(request).await?;
    let page = page.into_inner();
    Ok(List::new(page.deliveries, page.next))
}

/// One e-mail.
#[utoipa::path(get, path = "/deliveries/{id}", tag = "E-mail", responses((status = 200, body = Delivery)))]
async fn get_delivery(ctx: RequestContext, Id(id): Id) -> Result<Single<Delivery>> {
    let delivery = find(&ctx, &id).await?;
    Ok(Single::ok(delivery.version, delivery))
}

async fn find(ctx: &RequestContext, id: &str) -> Result<Delivery> {
    let request = ctx.request(GetDeliveryRequest { id: id.to_owned() });
    Ok(ctx.notification().get_delivery(request).await?.into_inner())
}

/// Sends the e-mail again.
#[utoipa::path(post, path = "/deliveries/{id}/resend", tag = "E-mail", responses((status = 202, body = Delivery)))]
async fn resend_delivery(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
) -> Result<Single<Delivery>> {
    expected
        .require(async { Ok(find(&ctx, &id).await?.version) })
        .await?;
    let request = ctx.request(ResendDeliveryRequest { id });
    let delivery = ctx.notification().resend_delivery(request).await?;
    let delivery = delivery.into_inner();
    let path = format!("deliveries/{}", delivery.id);
    Ok(Single::accepted(&path, delivery.version, delivery))
}
