//! The catalogue and the page of a product, also for visitors where a product is public.

use axum::{
    Router,
    extract::{Path, Query},
    routing::get,
};
use minijinja::{Value, context, value::Serde};
use portico_proto::catalog::v1::{ListProductsRequest, ProductStatus};

use super::{
    fetch,
    lists::Listing,
    markdown,
    page::{PageResponse, render},
    show,
};
use crate::edge::{Edge, request::RequestContext};

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/catalogue", get(catalogue))
        .route("/catalogue/{id}", get(product))
}

async fn catalogue(ctx: RequestContext, Query(listing): Query<Listing>) -> PageResponse {
    let request = ctx.request(ListProductsRequest {
        after: listing.after.clone(),
        sort: listing.sort.clone(),
        q: listing.q.clone(),
        tag: listing.tag.clone(),
        status: ProductStatus::Published.into(),
        ..Default::default()
    });
    let page = ctx.catalog().list_products(request).await?.into_inner();
    let shown = context! {
        products => page.products.iter().map(show::product).collect::<Vec<_>>(),
        list => listing.shown(&page.next),
    };
    render(&ctx, "developer/catalogue.html", shown, None).await
}

async fn product(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    let product = fetch::product(&ctx, id).await?;
    // Visitors are not told which client types there are.
    let client_types = match ctx.session() {
        Some(_) => fetch::client_types(&ctx, product.client_type_ids.clone()).await?,
        None => Vec::new(),
    };
    let shown = context! {
        product => show::product(&product),
        documentation => Value::from_safe_string(markdown::to_html(&product.documentation)),
        client_types => Value::from(Serde(client_types)),
    };
    render(&ctx, "developer/product.html", shown, None).await
}
