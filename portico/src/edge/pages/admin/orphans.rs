//! Clients that are, or may be, at a provider without being in use here.

use std::collections::HashMap;

use axum::{
    Router,
    extract::{Path, Query},
    routing::{get, post},
};
use futures::future::join_all;
use minijinja::{Value, context};
use portico_proto::{
    Error,
    registration::v1::{
        AdoptOrphanRequest, DeleteOrphanRequest, DismissOrphanRequest, FoundClient,
        ListOrphansRequest,
    },
};

use super::{
    super::{
        form::{Form, Posted},
        lists::Listing,
        show,
        view::{Page, Shown, done, mendable},
    },
    identity_providers,
};
use crate::edge::{Edge, ask::Ask};

const LIST: &str = "/admin/orphans";

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/orphans", get(list))
        .route("/orphans/{id}/adopt", post(adopt))
        .route("/orphans/{id}/delete", post(delete))
        .route("/orphans/{id}/dismiss", post(dismiss))
}

async fn list(ask: Ask, Query(listing): Query<Listing>) -> Shown {
    page(&ask, &listing, context! {}, None).await
}

/// `more` is what a form typed, and for which orphan.
async fn page(ask: &Ask, listing: &Listing, more: Value, error: Option<&Error>) -> Shown {
    let request = ask.request(ListOrphansRequest {
        after: listing.after.clone(),
        status: listing.status.clone(),
        ..Default::default()
    });
    let page = ask.registration().list_orphans(request).await?.into_inner();
    let mut ids: Vec<&str> = page
        .orphans
        .iter()
        .map(|one| one.identity_provider_id.as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let providers = join_all(ids.into_iter().map(|id| identity_providers::find(ask, id))).await;
    let providers: HashMap<String, String> = providers
        .into_iter()
        .flatten()
        .map(|provider| (provider.id, provider.name))
        .collect();
    let shown = context! {
        orphans => page.orphans.iter().map(show::orphan).collect::<Vec<_>>(),
        providers,
        list => listing.shown(&page.next),
        ..more
    };
    Page::new("admin/orphans.html")
        .refused_if(error)
        .show(ask, shown)
        .await
}

/// The token is never shown again.
fn found(form: &Form) -> Option<FoundClient> {
    Some(FoundClient {
        client_id: form.text("client_id"),
        registration_access_token: form.secret("registration_access_token").unwrap_or_default(),
        registration_client_uri: form.text("registration_client_uri"),
    })
}

async fn adopt(Path(marker): Path<String>, Posted { ask, form }: Posted) -> Shown {
    let request = ask.request(AdoptOrphanRequest {
        marker: marker.clone(),
        client: found(&form),
    });
    let answer = ask.registration().adopt_orphan(request).await;
    seen_to(&ask, &marker, &form, answer.map(|_| "orphan_adopted")).await
}

async fn delete(Path(marker): Path<String>, Posted { ask, form }: Posted) -> Shown {
    let request = ask.request(DeleteOrphanRequest {
        marker: marker.clone(),
        client: found(&form),
    });
    let answer = ask.registration().delete_orphan(request).await;
    seen_to(&ask, &marker, &form, answer.map(|_| "deleted")).await
}

async fn dismiss(Path(marker): Path<String>, Posted { ask, form }: Posted) -> Shown {
    let request = ask.request(DismissOrphanRequest {
        marker: marker.clone(),
        reason: form.text("reason"),
    });
    let answer = ask.registration().dismiss_orphan(request).await;
    seen_to(&ask, &marker, &form, answer.map(|_| "orphan_dismissed")).await
}

async fn seen_to(
    ask: &Ask,
    marker: &str,
    form: &Form,
    answer: Result<&'static str, tonic::Status>,
) -> Shown {
    match answer {
        Ok(notice) => Ok(done(LIST, notice)),
        Err(status) => {
            let error = mendable(status)?;
            let typed = context! { open => marker, form => form.typed(&[]) };
            page(ask, &Listing::default(), typed, Some(&error)).await
        }
    }
}
