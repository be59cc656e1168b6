//! Scopes that a product waits for, because clients may still hold them from another one.

use axum::{Router, extract::Query, routing::get};
use minijinja::{Value, context, value::Serde};
use portico_proto::{
    Error,
    gateway::v1::{ListHeldScopesRequest, ReleaseHeldScopeRequest},
};

use super::super::super::{
    form::Posted,
    lists::Listing,
    page::{PageResponse, done, mendable, render},
};
use crate::edge::{Edge, request::RequestContext};

const PAGE: &str = "/admin/gateways/held-scopes";

pub(super) fn routes() -> Router<Edge> {
    Router::new().route("/gateways/held-scopes", get(list).post(release))
}

async fn list(ctx: RequestContext, Query(listing): Query<Listing>) -> PageResponse {
    page(&ctx, &listing, None).await
}

async fn page(ctx: &RequestContext, listing: &Listing, error: Option<&Error>) -> PageResponse {
    let request = ctx.request(ListHeldScopesRequest {
        after: listing.after.clone(),
        ..Default::default()
    });
    let page = ctx.gateway().list_held_scopes(request).await?.into_inner();
    let shown = context! {
        held => Value::from(Serde(page.held_scopes)),
        list => listing.shown(&page.next),
    };
    render(ctx, "admin/held_scopes.html", shown, error).await
}

/// By an admin: the scope goes to the product that waits, whoever holds it.
async fn release(Query(listing): Query<Listing>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(ReleaseHeldScopeRequest {
        identity_provider_id: form.text("identity_provider_id"),
        scope: form.text("scope"),
        holder_product_id: form.text("holder_product_id"),
    });
    match ctx.gateway().release_held_scope(request).await {
        Ok(_) => Ok(done(PAGE, "scope_released")),
        Err(status) => page(&ctx, &listing, Some(&mendable(status)?)).await,
    }
}
