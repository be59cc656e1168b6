//! `/products`: what developers may ask access to.

use axum::response::Response;
use http::StatusCode;
use portico_proto::{
    catalog::v1::{
        CreateProductRequest, DeleteProductRequest, GetProductRequest, ListProductsRequest,
        NewProduct, Product, ProductChange, PublishProductRequest, UnpublishProductRequest,
        UpdateProductRequest,
    },
    rest::New,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single},
    input::{Body, Id, IfMatch, Query},
};
use crate::edge::{Edge, problem::Result, remembered, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_products, create_product))
        .routes(routes!(get_product, update_product, delete_product))
        .routes(routes!(publish_product))
        .routes(routes!(unpublish_product))
}

impl From<Product> for Single<Product> {
    fn from(from: Product) -> Self {
        Self::ok(from.version, from)
    }
}

/// Lists the products that the caller may see.
#[utoipa::path(get, path = "/products", tag = "Products", params(ListProductsRequest), responses((status = 200, body = List<Product>)))]
async fn list_products(ctx: RequestContext) -> Result<Response> {
    remembered::answer(&ctx, async {
        let Query(query) = Query::<ListProductsRequest>::of(ctx.uri())?;
        let request = ctx.request(query);
        let page = ctx.catalog().list_products(request).await?.into_inner();
        Ok(List::<Product>::new(page.products, page.next))
    })
    .await
}

/// Creates a product as a draft, hidden until it is published.
#[utoipa::path(post, path = "/products", tag = "Products", request_body = NewProduct, responses((status = 201, body = Product)))]
async fn create_product(
    ctx: RequestContext,
    Body(New(product)): Body<NewProduct>,
) -> Result<Single<Product>> {
    let request = ctx.request(CreateProductRequest {
        product: Some(product),
    });
    let product = ctx.catalog().create_product(request).await?.into_inner();
    let path = format!("products/{}", product.id);
    Ok(Single::created(&path, product.version, product))
}

/// One product.
#[utoipa::path(get, path = "/products/{id}", tag = "Products", responses((status = 200, body = Product)))]
async fn get_product(ctx: RequestContext, Id(id): Id) -> Result<Response> {
    remembered::answer(&ctx, async {
        let request = ctx.request(GetProductRequest { id });
        let product = ctx.catalog().get_product(request).await?.into_inner();
        Ok(Single::from(product))
    })
    .await
}

/// Updates the fields present in the body.
#[utoipa::path(patch, path = "/products/{id}", tag = "Products", request_body = ProductChange, responses((status = 200, body = Product)))]
async fn update_product(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
    Body(change): Body<ProductChange>,
) -> Result<Single<Product>> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(UpdateProductRequest {
        id,
        if_version,
        product: Some(change.message),
        update_mask: Some(change.mask),
    });
    let product = ctx.catalog().update_product(request).await?.into_inner();
    Ok(product.into())
}

/// Deletes the product permanently.
#[utoipa::path(delete, path = "/products/{id}", tag = "Products", responses((status = 204)))]
async fn delete_product(ctx: RequestContext, Id(id): Id, expected: IfMatch) -> Result<StatusCode> {
    let if_version = expected.version(version(&ctx, &id)).await?;
    let request = ctx.request(DeleteProductRequest { id, if_version });
    ctx.catalog().delete_product(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Publishes a draft in the catalogue.
#[utoipa::path(post, path = "/products/{id}/publish", tag = "Products", responses((status = 200, body = Product)))]
async fn publish_product(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
) -> Result<Single<Product>> {
    expected.require(version(&ctx, &id)).await?;
    let request = ctx.request(PublishProductRequest { id });
    let product = ctx.catalog().publish_product(request).await?.into_inner();
    Ok(product.into())
}

/// Unpublishes the product; granted access stays.
#[utoipa::path(post, path = "/products/{id}/unpublish", tag = "Products", responses((status = 200, body = Product)))]
async fn unpublish_product(
    ctx: RequestContext,
    Id(id): Id,
    expected: IfMatch,
) -> Result<Single<Product>> {
    expected.require(version(&ctx, &id)).await?;
    let request = ctx.request(UnpublishProductRequest { id });
    let product = ctx.catalog().unpublish_product(request).await?.into_inner();
    Ok(product.into())
}

async fn version(ctx: &RequestContext, id: &str) -> Result<u64> {
    let request = ctx.request(GetProductRequest { id: id.to_owned() });
    let product = ctx.catalog().get_product(request).await?.into_inner();
    Ok(product.version)
}
