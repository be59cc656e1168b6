//! Products and plans made of the policies of a gateway.

use axum::{
    Router,
    extract::{Path, Query},
    routing::get,
};
use minijinja::{Value, context, value::Serde};
use portico_proto::{
    Error,
    catalog::v1::{
        ImportAction, ImportFromGatewayRequest, ImportItem, ImportedPolicy,
        PreviewGatewayImportRequest,
    },
};

use super::super::super::{
    form::Posted,
    lists::Listing,
    page::{PageResponse, mendable, render},
    show,
};
use super::find;
use crate::edge::{Edge, request::RequestContext};

const PAGE: &str = "admin/gateway_import.html";

pub(super) fn routes() -> Router<Edge> {
    Router::new().route("/gateways/{id}/import", get(preview).post(import))
}

async fn preview(
    ctx: RequestContext,
    Path(id): Path<String>,
    Query(listing): Query<Listing>,
) -> PageResponse {
    page(&ctx, id, &listing, None).await
}

/// A page of policies; with what was typed where an import of some of them was refused.
async fn page(
    ctx: &RequestContext,
    id: String,
    listing: &Listing,
    refused: Option<(Error, Value)>,
) -> PageResponse {
    let gateway = Value::from(Serde(find(ctx, &id).await?));
    let request = ctx.request(PreviewGatewayImportRequest {
        gateway_id: id,
        after: listing.after.clone(),
        ..Default::default()
    });
    let (error, form) = refused.unzip();
    let (items, next, error) = match ctx.catalog().preview_gateway_import(request).await {
        Ok(page) => {
            let page = page.into_inner();
            (Some(shown(&page.items)), page.next, error)
        }
        Err(status) => (None, String::new(), Some(mendable(status)?)),
    };
    let (list, after) = (listing.shown(&next), &listing.after);
    let shown = context! { gateway, items, form, list, after, done => false };
    render(ctx, PAGE, shown, error.as_ref()).await
}

/// A policy's scopes stand in a field of its own.
async fn import(
    Path(id): Path<String>,
    Query(listing): Query<Listing>,
    Posted { ctx, form }: Posted,
) -> PageResponse {
    let items = form
        .all("policy_id")
        .into_iter()
        .map(|policy_id| ImportItem {
            scopes: form.words(&format!("scopes of {policy_id}")),
            policy_id,
        });
    let request = ctx.request(ImportFromGatewayRequest {
        gateway_id: id.clone(),
        items: items.collect(),
    });
    match ctx.catalog().import_from_gateway(request).await {
        Ok(answer) => {
            let gateway = Value::from(Serde(find(&ctx, &id).await?));
            let items = shown(&answer.into_inner().items);
            let list = Listing::default().shown("");
            let shown = context! { gateway, items, list, done => true };
            render(&ctx, PAGE, shown, None).await
        }
        Err(status) => {
            let refused = (mendable(status)?, form.typed(&["policy_id"]));
            page(&ctx, id, &listing, Some(refused)).await
        }
    }
}

fn shown(items: &[ImportedPolicy]) -> Vec<Value> {
    let one = |item: &ImportedPolicy| {
        context! {
            possible => matches!(item.action(), ImportAction::Create | ImportAction::Update),
            apis => item.api_ids.join(", "),
            rate => item.rate.as_ref().map(|it| format!("{} in {}", it.requests, show::every(it.per_seconds))),
            quota => item.quota.as_ref().map(|it| format!("{} in {}", it.requests, show::every(it.renews_every_seconds))),
            ..Value::from(Serde(item))
        }
    };
    items.iter().map(one).collect()
}
