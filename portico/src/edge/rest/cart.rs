//! `/cart`: what the caller has picked and not yet asked for.

use portico_proto::access::v1::{self as proto, GetCartRequest, PutCartRequest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Single, given},
    input::{Body, IfMatch},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(get_cart, put_cart))
}

#[derive(Serialize, ToSchema)]
struct Cart {
    items: Vec<Item>,
    version: u64,
}

/// A product, with a plan as soon as one was chosen.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    product_id: String,
    #[serde(default)]
    plan_id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCart {
    items: Vec<Item>,
}

impl From<Item> for proto::CartItem {
    fn from(from: Item) -> Self {
        Self {
            product_id: from.product_id,
            plan_id: from.plan_id.unwrap_or_default(),
        }
    }
}

impl From<proto::Cart> for Single<Cart> {
    fn from(from: proto::Cart) -> Self {
        let item = |item: proto::CartItem| Item {
            product_id: item.product_id,
            plan_id: given(item.plan_id),
        };
        let cart = Cart {
            items: from.items.into_iter().map(item).collect(),
            version: from.version,
        };
        Self::ok(cart.version, cart)
    }
}

/// The caller's cart.
#[utoipa::path(get, path = "/cart", tag = "Cart", responses((status = 200, body = Cart)))]
async fn get_cart(ctx: RequestContext) -> Result<Single<Cart>> {
    Ok(ctx
        .access()
        .get_cart(ctx.request(GetCartRequest {}))
        .await?
        .into_inner()
        .into())
}

/// Replaces the cart's items.
#[utoipa::path(put, path = "/cart", tag = "Cart", request_body = NewCart, responses((status = 200, body = Cart)))]
async fn put_cart(
    ctx: RequestContext,
    IfMatch(if_version): IfMatch,
    Body(new): Body<NewCart>,
) -> Result<Single<Cart>> {
    let items = new.items.into_iter().map(Into::into).collect();
    let request = ctx.request(PutCartRequest { items, if_version });
    Ok(ctx.access().put_cart(request).await?.into_inner().into())
}
