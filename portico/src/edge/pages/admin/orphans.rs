//! Clients that are, or may be, at a provider without being in use here.

use std::collections::HashMap;

use axum::{
    Router,
    extract::{Path, Query},
    routing::{get, post},
};
use futures::future::join_all;
use minijinja::{Value, context, value::Serde};
use portico_proto::{
    Error,
    registration::v1::{
        AdoptOrphanRequest, DeleteOrphanRequest, DismissOrphanRequest, FindOrphansRequest,
        FoundClient, IdentityProvider, ListIdentityProvidersRequest, ListOrphansRequest,
        OrphanFilter,
    },
};

use super::{
    super::{
        form::{Form, Posted},
        lists::{Listing, word},
        page::{PageResponse, done, mendable, render},
    },
    identity_providers,
};
use crate::edge::{Edge, request::RequestContext};

const LIST: &str = "/admin/orphans";
/// Parts of a provider's list that are looked through while somebody waits for the page.
const PARTS: usize = 5;

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/orphans", get(list))
        .route("/orphans/find", post(find))
        .route("/orphans/{id}/adopt", post(adopt))
        .route("/orphans/{id}/delete", post(delete))
        .route("/orphans/{id}/dismiss", post(dismiss))
}

async fn list(ctx: RequestContext, Query(listing): Query<Listing>) -> PageResponse {
    page(&ctx, &listing, context! {}, None).await
}

/// `more` is what a form typed, and for which orphan.
async fn page(
    ctx: &RequestContext,
    listing: &Listing,
    more: Value,
    error: Option<&Error>,
) -> PageResponse {
    let request = ctx.request(ListOrphansRequest {
        after: listing.after.clone(),
        status: word::<OrphanFilter>(&listing.status),
        ..Default::default()
    });
    let page = ctx.registration().list_orphans(request).await?.into_inner();
    let mut ids: Vec<&str> = page
        .orphans
        .iter()
        .map(|one| one.identity_provider_id.as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let providers = join_all(ids.into_iter().map(|id| identity_providers::find(ctx, id))).await;
    let providers: HashMap<String, String> = providers
        .into_iter()
        .flatten()
        .map(|provider| (provider.id, provider.name))
        .collect();
    let shown = context! {
        orphans => Value::from(Serde(page.orphans)),
        providers,
        list => listing.shown(&page.next),
        ..more
    };
    render(ctx, "admin/orphans.html", shown, error).await
}

/// The token is never shown again.
fn found(form: &Form) -> Option<FoundClient> {
    Some(FoundClient {
        client_id: Some(form.text("client_id")),
        registration_access_token: form.secret("registration_access_token"),
        registration_client_uri: Some(form.text("registration_client_uri")),
    })
}

/// Has the clients listed that providers have and nobody here knows, and says of each provider how that went.
async fn find(Posted { ctx, .. }: Posted) -> PageResponse {
    let request = ctx.request(ListIdentityProvidersRequest {
        limit: 100,
        ..Default::default()
    });
    let providers = ctx.registration().list_identity_providers(request).await?;
    let providers = providers.into_inner().identity_providers;
    let searched = join_all(providers.iter().map(|one| search(&ctx, one))).await;
    let searched = context! { searched => searched };
    page(&ctx, &Listing::default(), searched, None).await
}

/// One provider. A list that goes on after so many parts is for the command line.
async fn search(ctx: &RequestContext, provider: &IdentityProvider) -> Value {
    let (mut after, mut looked_at, mut found) = (String::new(), 0, 0);
    for _ in 0..PARTS {
        let request = ctx.request(FindOrphansRequest {
            identity_provider_id: provider.id.clone(),
            after: after.clone(),
            list: true,
        });
        match ctx.registration().find_orphans(request).await {
            Ok(part) => {
                let part = part.into_inner();
                looked_at += part.looked_at;
                found += part.clients.len();
                after = part.next.unwrap_or_default();
            }
            Err(status) => {
                let failed = Error::from(status).message;
                return context! { name => &provider.name, looked_at, found, failed };
            }
        }
        if after.is_empty() {
            return context! { name => &provider.name, looked_at, found };
        }
    }
    context! { name => &provider.name, looked_at, found, unfinished => true }
}

async fn adopt(Path(marker): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(AdoptOrphanRequest {
        marker: marker.clone(),
        client: found(&form),
    });
    let answer = ctx.registration().adopt_orphan(request).await;
    seen_to(&ctx, &marker, &form, answer.map(|_| "orphan_adopted")).await
}

async fn delete(Path(marker): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(DeleteOrphanRequest {
        marker: marker.clone(),
        client: found(&form),
    });
    let answer = ctx.registration().delete_orphan(request).await;
    seen_to(&ctx, &marker, &form, answer.map(|_| "deleted")).await
}

async fn dismiss(Path(marker): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(DismissOrphanRequest {
        marker: marker.clone(),
        reason: form.text("reason"),
    });
    let answer = ctx.registration().dismiss_orphan(request).await;
    seen_to(&ctx, &marker, &form, answer.map(|_| "orphan_dismissed")).await
}

async fn seen_to(
    ctx: &RequestContext,
    marker: &str,
    form: &Form,
    answer: Result<&'static str, tonic::Status>,
) -> PageResponse {
    match answer {
        Ok(notice) => Ok(done(LIST, notice)),
        Err(status) => {
            let error = mendable(status)?;
            let typed = context! { open => marker, form => form.typed(&[]) };
            page(ctx, &Listing::default(), typed, Some(&error)).await
        }
    }
}
