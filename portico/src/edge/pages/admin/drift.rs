//! What somebody else changed at providers and gateways, and its repair.

use axum::{Router, extract::Query, routing::get};
use minijinja::context;
use portico_proto::operations::v1::{PlanDriftRequest, RepairDriftRequest};

use super::super::{
    form::Posted,
    lists::Listing,
    show,
    view::{Page, Shown, mendable},
};
use crate::edge::{
    Edge,
    ask::Ask,
    drift::{self, Report},
};

const PAGE: &str = "admin/drift.html";

pub(super) fn routes() -> Router<Edge> {
    Router::new().route("/drift", get(plan).post(repair))
}

async fn plan(ask: Ask, Query(listing): Query<Listing>) -> Shown {
    let query = PlanDriftRequest {
        after: listing.after.clone(),
        ..Default::default()
    };
    let report = drift::plan(&ask, query).await?;
    show(&ask, &report, &listing, false).await
}

/// Repairs what the page shows.
async fn repair(Query(listing): Query<Listing>, Posted { ask, form }: Posted) -> Shown {
    let query = RepairDriftRequest {
        after: listing.after.clone(),
        plan: form.text("plan"),
        ..Default::default()
    };
    match drift::repair(&ask, query).await {
        Ok(report) => show(&ask, &report, &listing, true).await,
        Err(failure) => {
            let page = Page::new(PAGE).refused(&mendable(failure.error)?);
            let list = listing.shown("");
            page.show(&ask, context! { items => (), list }).await
        }
    }
}

async fn show(ask: &Ask, report: &Report, listing: &Listing, repaired: bool) -> Shown {
    let shown = context! {
        items => report.items.iter().map(show::drift).collect::<Vec<_>>(),
        possible => report.items.iter().any(|item| item.repair == "possible"),
        looked_at => report.looked_at,
        plan => &report.plan,
        incomplete => &report.incomplete,
        repaired,
        after => &listing.after,
        list => listing.shown(&report.next),
    };
    Page::new(PAGE).show(ask, shown).await
}
