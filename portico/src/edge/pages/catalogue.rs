//! The catalogue and the page of a product, also for visitors where a product is public.

use axum::{
    Router,
    extract::{Path, Query},
    routing::get,
};
use minijinja::context;
use portico_proto::{
    catalog::v1::{GetProductRequest, ListProductsRequest, Product, ProductStatus},
    registration::v1::{ClientType, ListClientTypesRequest},
};

use super::{
    lists::Listing,
    markdown, show,
    view::{Page, Shown},
};
use crate::edge::{Edge, ask::Ask, problem::Result};

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/catalogue", get(catalogue))
        .route("/catalogue/{id}", get(product))
}

async fn catalogue(ask: Ask, Query(listing): Query<Listing>) -> Shown {
    let request = ListProductsRequest {
        after: listing.after.clone(),
        sort: listing.sort.clone(),
        q: listing.q.clone(),
        tag: listing.tag.clone(),
        status: ProductStatus::Published.into(),
        ..Default::default()
    };
    let page = ask
        .catalog()
        .list_products(ask.request(request))
        .await?
        .into_inner();
    let shown = context! {
        products => page.products.iter().map(show::product).collect::<Vec<_>>(),
        list => listing.shown(&page.next),
    };
    Page::new("catalogue.html").show(&ask, shown).await
}

async fn product(ask: Ask, Path(id): Path<String>) -> Shown {
    let product = find(&ask, id).await?;
    // Visitors are not told which client types there are.
    let client_types = match ask.session() {
        Some(_) => client_types(&ask, product.client_type_ids.clone()).await?,
        None => Vec::new(),
    };
    let shown = context! {
        product => show::product(&product),
        documentation => minijinja::Value::from_safe_string(markdown::to_html(&product.documentation)),
        client_types => client_types.iter().map(show::client_type).collect::<Vec<_>>(),
    };
    Page::new("product.html").show(&ask, shown).await
}

pub(super) async fn find(ask: &Ask, id: String) -> Result<Product> {
    let request = ask.request(GetProductRequest { id });
    Ok(ask.catalog().get_product(request).await?.into_inner())
}

/// The client types with these ids.
pub(super) async fn client_types(ask: &Ask, ids: Vec<String>) -> Result<Vec<ClientType>> {
    if ids.is_empty() {
        // No ids would mean all.
        return Ok(Vec::new());
    }
    let request = ListClientTypesRequest {
        limit: 100,
        ids,
        ..Default::default()
    };
    let page = ask
        .registration()
        .list_client_types(ask.request(request))
        .await?;
    Ok(page.into_inner().client_types)
}
