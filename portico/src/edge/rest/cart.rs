//! `/cart`: what the caller has picked and not yet asked for.

use portico_proto::{
    access::v1::{Cart, GetCartRequest, NewCart, PutCartRequest},
    rest::New,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::Single,
    input::{Body, IfMatch},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(get_cart, put_cart))
}

/// The caller's cart.
#[utoipa::path(get, path = "/cart", tag = "Cart", responses((status = 200, body = Cart)))]
async fn get_cart(ctx: RequestContext) -> Result<Single<Cart>> {
    let request = ctx.request(GetCartRequest {});
    let cart = ctx.access().get_cart(request).await?.into_inner();
    Ok(Single::ok(cart.version, cart))
}

async fn version(ctx: &RequestContext) -> Result<u64> {
    let request = ctx.request(GetCartRequest {});
    Ok(ctx.access().get_cart(request).await?.into_inner().version)
}

/// Replaces the cart's items.
#[utoipa::path(put, path = "/cart", tag = "Cart", request_body = NewCart, responses((status = 200, body = Cart)))]
async fn put_cart(
    ctx: RequestContext,
    expected: IfMatch,
    Body(New(cart)): Body<NewCart>,
) -> Result<Single<Cart>> {
    let if_version = expected.version(version(&ctx)).await?;
    let request = ctx.request(PutCartRequest {
        cart: Some(cart),
        if_version,
    });
    let cart = ctx.access().put_cart(request).await?.into_inner();
    Ok(Single::ok(cart.version, cart))
}
