//! `/products`: what developers may ask access to.

use axum::response::IntoResponse;
use http::StatusCode;
use portico_proto::catalog::v1::{
    self as proto, ApiList, CreateProductRequest, DeleteProductRequest, GetProductRequest,
    ListProductsRequest, PublishProductRequest, StringList, UnpublishProductRequest,
    UpdateProductRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single, given},
    input::{Body, Id, IfMatch, Query},
    values::Scopes,
};
use crate::edge::{Edge, ask::Ask, problem::Result};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_products, create_product))
        .routes(routes!(get_product, update_product, delete_product))
        .routes(routes!(publish_product))
        .routes(routes!(unpublish_product))
}

#[derive(Serialize, ToSchema)]
struct Product {
    id: String,
    name: String,
    description: String,
    /// Whether Portico registers OAuth clients for it.
    dcr_enabled: bool,
    scopes: Scopes,
    client_type_ids: Vec<String>,
    /// `public` (also for visitors) or `internal` (for everybody signed in).
    visibility: String,
    tags: Vec<String>,
    apis: Vec<Api>,
    /// `draft`, `published` or `deleted`.
    status: String,
    /// A gateway policy that already exists; null: Portico makes one.
    policy_id: Option<String>,
    /// Markdown.
    documentation: String,
    version: u64,
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// An API at the gateway that a product opens.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Api {
    /// Its id at the gateway.
    api_id: String,
    #[serde(default)]
    name: String,
    /// Where developers call it.
    #[serde(default)]
    url: String,
    /// The gateway that serves it; empty: the only one there is.
    #[serde(default)]
    gateway_id: String,
}

/// An API, or only its id at the gateway.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "an API's id, or an object with `api_id`, `name`, `url` and `gateway_id`"
)]
enum ApiOrId {
    Id(String),
    Api(Api),
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct NewProduct {
    name: String,
    description: String,
    dcr_enabled: bool,
    scopes: Scopes,
    client_type_ids: Vec<String>,
    /// `public` or `internal`.
    visibility: String,
    tags: Vec<String>,
    apis: Vec<ApiOrId>,
    policy_id: String,
    documentation: String,
}

/// What is absent stays; lists are replaced as a whole.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProductChange {
    name: Option<String>,
    description: Option<String>,
    dcr_enabled: Option<bool>,
    scopes: Option<Scopes>,
    client_type_ids: Option<Vec<String>>,
    visibility: Option<String>,
    tags: Option<Vec<String>>,
    apis: Option<Vec<ApiOrId>>,
    policy_id: Option<String>,
    documentation: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct ProductQuery {
    /// 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
    /// Words in name, description or tags.
    q: String,
    tag: String,
    /// `name`, `-name`, `created_at` or `-created_at`.
    sort: String,
    /// Admins only: `draft` or `published`.
    status: String,
    client_type_id: String,
}

impl From<proto::Product> for Product {
    fn from(from: proto::Product) -> Self {
        Self {
            id: from.id,
            name: from.name,
            description: from.description,
            dcr_enabled: from.dcr_enabled,
            scopes: Scopes(from.scopes),
            client_type_ids: from.client_type_ids,
            visibility: from.visibility,
            tags: from.tags,
            apis: from.apis.into_iter().map(Into::into).collect(),
            status: from.status,
            policy_id: given(from.policy_id),
            documentation: from.documentation,
            version: from.version,
            created_at: given(from.created_at),
            updated_at: given(from.updated_at),
        }
    }
}

impl From<proto::Api> for Api {
    fn from(from: proto::Api) -> Self {
        Self {
            api_id: from.api_id,
            name: from.name,
            url: from.url,
            gateway_id: from.gateway_id,
        }
    }
}

impl From<ApiOrId> for proto::Api {
    fn from(from: ApiOrId) -> Self {
        match from {
            ApiOrId::Id(api_id) => Self {
                api_id,
                ..Self::default()
            },
            ApiOrId::Api(Api {
                api_id,
                name,
                url,
                gateway_id,
            }) => Self {
                api_id,
                name,
                url,
                gateway_id,
            },
        }
    }
}

impl From<proto::Product> for Single<Product> {
    fn from(from: proto::Product) -> Self {
        Self::ok(from.version, from.into())
    }
}

/// The catalogue, as the caller may see it.
#[utoipa::path(get, path = "/products", tag = "Products", params(ProductQuery), responses((status = 200, body = List<Product>)))]
async fn list_products(ask: Ask, Query(query): Query<ProductQuery>) -> Result<List<Product>> {
    let request = ListProductsRequest {
        limit: query.limit,
        after: query.after,
        q: query.q,
        tag: query.tag,
        sort: query.sort,
        status: query.status,
        client_type_id: query.client_type_id,
    };
    let page = ask
        .catalog()
        .list_products(ask.request(request))
        .await?
        .into_inner();
    Ok(List::new(page.products, page.next))
}

/// Creates a draft; publish it to show it.
#[utoipa::path(post, path = "/products", tag = "Products", request_body = NewProduct, responses((status = 201, body = Product)))]
async fn create_product(ask: Ask, Body(new): Body<NewProduct>) -> Result<Single<Product>> {
    let request = CreateProductRequest {
        name: new.name,
        description: new.description,
        dcr_enabled: new.dcr_enabled,
        scopes: new.scopes.0,
        client_type_ids: new.client_type_ids,
        visibility: new.visibility,
        tags: new.tags,
        apis: new.apis.into_iter().map(Into::into).collect(),
        policy_id: new.policy_id,
        documentation: new.documentation,
    };
    let product = ask
        .catalog()
        .create_product(ask.request(request))
        .await?
        .into_inner();
    Ok(Single::created(
        &format!("products/{}", product.id),
        product.version,
        product.into(),
    ))
}

/// One product.
#[utoipa::path(get, path = "/products/{id}", tag = "Products", responses((status = 200, body = Product)))]
async fn get_product(ask: Ask, Id(id): Id) -> Result<Single<Product>> {
    let request = ask.request(GetProductRequest { id });
    Ok(ask
        .catalog()
        .get_product(request)
        .await?
        .into_inner()
        .into())
}

/// Changes what is given.
#[utoipa::path(patch, path = "/products/{id}", tag = "Products", request_body = ProductChange, responses((status = 200, body = Product)))]
async fn update_product(
    ask: Ask,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
    Body(change): Body<ProductChange>,
) -> Result<Single<Product>> {
    let list = |values| StringList { values };
    let request = UpdateProductRequest {
        id,
        if_version,
        name: change.name,
        description: change.description,
        dcr_enabled: change.dcr_enabled,
        scopes: change.scopes.map(|scopes| list(scopes.0)),
        client_type_ids: change.client_type_ids.map(list),
        visibility: change.visibility,
        tags: change.tags.map(list),
        apis: change.apis.map(|apis| ApiList {
            values: apis.into_iter().map(Into::into).collect(),
        }),
        policy_id: change.policy_id,
        documentation: change.documentation,
    };
    Ok(ask
        .catalog()
        .update_product(ask.request(request))
        .await?
        .into_inner()
        .into())
}

/// Takes it out of the catalogue for good.
#[utoipa::path(delete, path = "/products/{id}", tag = "Products", responses((status = 204)))]
async fn delete_product(
    ask: Ask,
    Id(id): Id,
    IfMatch(if_version): IfMatch,
) -> Result<impl IntoResponse> {
    let request = ask.request(DeleteProductRequest { id, if_version });
    ask.catalog().delete_product(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows a draft in the catalogue.
#[utoipa::path(post, path = "/products/{id}/publish", tag = "Products", responses((status = 200, body = Product)))]
async fn publish_product(ask: Ask, Id(id): Id, expected: IfMatch) -> Result<Single<Product>> {
    expected.require(version(&ask, &id)).await?;
    let request = ask.request(PublishProductRequest { id });
    Ok(ask
        .catalog()
        .publish_product(request)
        .await?
        .into_inner()
        .into())
}

/// Makes it a draft again; access that was given stays.
#[utoipa::path(post, path = "/products/{id}/unpublish", tag = "Products", responses((status = 200, body = Product)))]
async fn unpublish_product(ask: Ask, Id(id): Id, expected: IfMatch) -> Result<Single<Product>> {
    expected.require(version(&ask, &id)).await?;
    let request = ask.request(UnpublishProductRequest { id });
    Ok(ask
        .catalog()
        .unpublish_product(request)
        .await?
        .into_inner()
        .into())
}

async fn version(ask: &Ask, id: &str) -> Result<u64> {
    let request = ask.request(GetProductRequest { id: id.to_owned() });
    Ok(ask
        .catalog()
        .get_product(request)
        .await?
        .into_inner()
        .version)
}
