//! Clients that may exist at a provider without being known here.

use std::collections::HashMap;

use axum::{Router, extract::Query, routing::get};
use futures::future::join_all;
use minijinja::context;
use portico_proto::registration::v1::ListOrphansRequest;

use super::{
    super::{
        lists::Listing,
        show,
        view::{Page, Shown},
    },
    identity_providers,
};
use crate::edge::{Edge, ask::Ask};

pub(super) fn routes() -> Router<Edge> {
    Router::new().route("/orphans", get(list))
}

async fn list(ask: Ask, Query(listing): Query<Listing>) -> Shown {
    let request = ask.request(ListOrphansRequest {
        after: listing.after.clone(),
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
    let providers = join_all(ids.into_iter().map(|id| identity_providers::find(&ask, id))).await;
    let providers: HashMap<String, String> = providers
        .into_iter()
        .flatten()
        .map(|provider| (provider.id, provider.name))
        .collect();
    let shown = context! {
        orphans => page.orphans.iter().map(show::orphan).collect::<Vec<_>>(),
        providers,
        list => listing.shown(&page.next),
    };
    Page::new("admin/orphans.html").show(&ask, shown).await
}
