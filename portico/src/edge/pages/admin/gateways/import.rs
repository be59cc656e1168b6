//! Products and plans made of the policies of a gateway.

use axum::{
    Router,
    extract::{Path, Query},
    routing::get,
};
use minijinja::{Value, context, value::Serde};
use portico_proto::catalog::v1::{
    ImportAction, ImportFromGatewayRequest, ImportItem, ImportedPolicy, PreviewGatewayImportRequest,
};

use super::super::super::{
    form::Posted,
    lists::Listing,
    page::{Page, PageResponse, mendable},
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
    let gateway = show::gateway(&find(&ctx, &id).await?);
    let request = ctx.request(PreviewGatewayImportRequest {
        gateway_id: id,
        after: listing.after.clone(),
        ..Default::default()
    });
    match ctx.catalog().preview_gateway_import(request).await {
        Ok(page) => {
            let page = page.into_inner();
            let items = shown(&page.items);
            let list = listing.shown(&page.next);
            let shown = context! { gateway, items, list, done => false };
            Page::new(PAGE).show(&ctx, shown).await
        }
        Err(status) => {
            let page = Page::new(PAGE).refused(&mendable(status)?);
            let list = listing.shown("");
            page.show(&ctx, context! { gateway, items => (), list, done => false })
                .await
        }
    }
}

/// A policy's scopes stand in a field of its own.
async fn import(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let gateway = show::gateway(&find(&ctx, &id).await?);
    let items = form
        .all("policy_id")
        .into_iter()
        .map(|policy_id| ImportItem {
            scopes: form.words(&format!("scopes of {policy_id}")),
            policy_id,
        });
    let request = ctx.request(ImportFromGatewayRequest {
        gateway_id: id,
        items: items.collect(),
    });
    let list = Listing::default().shown("");
    match ctx.catalog().import_from_gateway(request).await {
        Ok(answer) => {
            let items = shown(&answer.into_inner().items);
            let shown = context! { gateway, items, list, done => true };
            Page::new(PAGE).show(&ctx, shown).await
        }
        Err(status) => {
            let page = Page::new(PAGE).refused(&mendable(status)?);
            page.show(&ctx, context! { gateway, items => (), list, done => false })
                .await
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
