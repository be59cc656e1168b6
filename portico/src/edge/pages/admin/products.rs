//! Products: drafts and published ones.

use axum::{
    Router,
    extract::{Path, Query},
    routing::{get, post},
};
use minijinja::{Value, context, value::Serde};
use portico_proto::{
    Error,
    catalog::v1::{
        Api, ApiMapping, CreateProductRequest, DeleteProductRequest, ListProductsRequest,
        PolicyMapping, Product, ProductStatus, PublishProductRequest, UnpublishProductRequest,
        UpdateProductRequest, Visibility,
    },
    registration::v1::ListClientTypesRequest,
    rest::Enumeration as _,
};

use super::super::{
    confirm::Question,
    fetch,
    form::{Form, Posted},
    lists::{Listing, word},
    page::{PageResponse, done, mendable, render},
    show,
};
use crate::edge::{Edge, request::RequestContext};

const EDIT: &str = "admin/product_edit.html";
const LISTS: [&str; 1] = ["client_type_ids"];

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/products", get(list))
        .route("/products/new", get(new).post(create))
        .route("/products/{id}/edit", get(edit).post(save))
        .route("/products/{id}/publish", post(publish))
        .route("/products/{id}/unpublish", post(unpublish))
        .route("/products/{id}/delete", get(confirm_delete).post(delete))
}

fn path(id: &str) -> String {
    format!("/admin/products/{id}/edit")
}

async fn list(ctx: RequestContext, Query(listing): Query<Listing>) -> PageResponse {
    let request = ctx.request(ListProductsRequest {
        after: listing.after.clone(),
        sort: listing.sort.clone(),
        q: listing.q.clone(),
        status: word::<ProductStatus>(&listing.status),
        ..Default::default()
    });
    let page = ctx.catalog().list_products(request).await?.into_inner();
    let shown = context! {
        products => page.products.iter().map(show::product).collect::<Vec<_>>(),
        list => listing.shown(&page.next),
    };
    render(&ctx, "admin/products.html", shown, None).await
}

/// The form, with the client types that can be chosen; for a product that there is, with its id and status.
async fn form_page(
    ctx: &RequestContext,
    product: Option<&Product>,
    form: Value,
    error: Option<&Error>,
) -> PageResponse {
    let request = ctx.request(ListClientTypesRequest {
        limit: 100,
        ..Default::default()
    });
    let types = ctx.registration().list_client_types(request).await?;
    let types = types.into_inner();
    let shown = context! {
        id => product.map(|product| product.id.as_str()),
        product => product.map(show::product),
        client_types => Value::from(Serde(types.client_types)),
        form,
    };
    render(ctx, EDIT, shown, error).await
}

async fn new(ctx: RequestContext) -> PageResponse {
    let form = context! { dcr_enabled => true, visibility => "public" };
    form_page(&ctx, None, form, None).await
}

/// One API a line: `id | name | URL`; a fourth part names the gateway where there are several.
fn apis(text: &str) -> Vec<Api> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let mut parts = line.split('|').map(|part| part.trim().to_owned());
            let mut part = || parts.next().unwrap_or_default();
            let (api_id, name, url) = (part(), part(), part());
            let gateway_id = Some(part()).filter(|id| !id.is_empty());
            Api {
                mapping: Some(ApiMapping { api_id, gateway_id }),
                name,
                url,
            }
        })
        .collect()
}

fn as_lines(apis: &[Api]) -> String {
    let line = |api: &Api| {
        let mapping = api.mapping.clone().unwrap_or_default();
        let mut parts = vec![mapping.api_id.as_str(), &api.name, &api.url];
        parts.extend(mapping.gateway_id.as_deref());
        parts.join(" | ")
    };
    apis.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn as_form(product: &Product) -> Value {
    context! {
        scopes => product.scopes.join(" "),
        tags => product.tags.join(", "),
        apis => as_lines(&product.apis),
        ..show::product(product)
    }
}

async fn create(Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(CreateProductRequest {
        product: Some(read(&form)),
    });
    match ctx.catalog().create_product(request).await {
        Ok(made) => Ok(done(&path(&made.get_ref().id), "product_created")),
        Err(status) => {
            let error = mendable(status)?;
            form_page(&ctx, None, form.typed(&LISTS), Some(&error)).await
        }
    }
}

async fn edit(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    let product = fetch::product(&ctx, id).await?;
    form_page(&ctx, Some(&product), as_form(&product), None).await
}

fn read(form: &Form) -> Product {
    let visibility = Visibility::from_word(&form.text("visibility"));
    Product {
        name: form.text("name"),
        description: form.text("description"),
        dcr_enabled: form.checked("dcr_enabled"),
        scopes: form.words("scopes"),
        client_type_ids: form.all("client_type_ids"),
        visibility: visibility.unwrap_or_default().into(),
        tags: form.by_commas("tags"),
        apis: apis(&form.text("apis")),
        mapping: Some(PolicyMapping {
            policy_id: Some(form.text("policy_id")),
        }),
        documentation: form.raw("documentation"),
        ..Product::default()
    }
}

async fn save(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    // The form has every member, so nothing of what is there stays.
    let request = ctx.request(UpdateProductRequest {
        id: id.clone(),
        if_version: form.version(),
        product: Some(read(&form)),
        update_mask: None,
    });
    match ctx.catalog().update_product(request).await {
        Ok(_) => Ok(done(&path(&id), "saved")),
        Err(status) => {
            let error = mendable(status)?;
            let product = fetch::product(&ctx, id).await?;
            form_page(&ctx, Some(&product), form.typed(&LISTS), Some(&error)).await
        }
    }
}

async fn publish(Path(id): Path<String>, Posted { ctx, .. }: Posted) -> PageResponse {
    let request = ctx.request(PublishProductRequest { id: id.clone() });
    match ctx.catalog().publish_product(request).await {
        Ok(_) => Ok(done(&path(&id), "published")),
        Err(status) => again(&ctx, id, &mendable(status)?).await,
    }
}

async fn unpublish(Path(id): Path<String>, Posted { ctx, .. }: Posted) -> PageResponse {
    let request = ctx.request(UnpublishProductRequest { id: id.clone() });
    match ctx.catalog().unpublish_product(request).await {
        Ok(_) => Ok(done(&path(&id), "unpublished")),
        Err(status) => again(&ctx, id, &mendable(status)?).await,
    }
}

async fn again(ctx: &RequestContext, id: String, error: &Error) -> PageResponse {
    let product = fetch::product(ctx, id).await?;
    form_page(ctx, Some(&product), as_form(&product), Some(error)).await
}

async fn confirm_delete(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    question(&ctx, &id, None).await
}

async fn question(ctx: &RequestContext, id: &str, error: Option<&Error>) -> PageResponse {
    let product = fetch::product(ctx, id.to_owned()).await?;
    let question = Question {
        title: format!("Delete the product \u{201c}{}\u{201d}?", product.name),
        consequence: "Access to it can no longer be requested, and it cannot be restored. Access already granted is kept \
            until it is revoked.",
        button: "Delete the product",
        back: path(id),
        version: product.version,
    };
    question.show(ctx, error).await
}

async fn delete(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(DeleteProductRequest {
        id: id.clone(),
        if_version: form.version(),
    });
    match ctx.catalog().delete_product(request).await {
        Ok(_) => Ok(done("/admin/products", "deleted")),
        Err(status) => question(&ctx, &id, Some(&mendable(status)?)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apis_are_lines() {
        let read = apis(
            "payments | Payments API | https://gw.example/payments/\r\n\r\n orders \n a|b|c|d",
        );
        assert_eq!(read.len(), 3);
        assert_eq!(
            (read[0].name.as_str(), read[0].url.as_str()),
            ("Payments API", "https://gw.example/payments/")
        );
        assert_eq!(read[1].url, "");
        let mappings: Vec<_> = read.iter().filter_map(|api| api.mapping.clone()).collect();
        assert_eq!(
            (mappings[1].api_id.as_str(), mappings[1].gateway_id()),
            ("orders", "")
        );
        assert_eq!(mappings[2].gateway_id(), "d");
        assert_eq!(apis(&as_lines(&read)), read);
    }
}
