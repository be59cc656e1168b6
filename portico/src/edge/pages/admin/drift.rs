//! What somebody else changed at providers and gateways, and its repair.

use axum::{Router, extract::Query, routing::get};
use minijinja::context;
use portico_proto::registration::v1::{DriftReport, PlanDriftRequest, RepairDriftRequest};

use super::super::{
    form::Posted,
    lists::Listing,
    show,
    view::{Page, Shown, mendable},
};
use crate::edge::{Edge, ask::Ask};

const PAGE: &str = "admin/drift.html";

pub(super) fn routes() -> Router<Edge> {
    Router::new().route("/drift", get(plan).post(repair))
}

async fn plan(ask: Ask, Query(listing): Query<Listing>) -> Shown {
    let request = ask.request(PlanDriftRequest {
        after: listing.after.clone(),
        ..Default::default()
    });
    let report = ask.registration().plan_drift(request).await?.into_inner();
    show(&ask, &report, &listing, false).await
}

/// Repairs what the page shows.
async fn repair(Query(listing): Query<Listing>, Posted { ask, form }: Posted) -> Shown {
    let request = ask.request(RepairDriftRequest {
        after: listing.after.clone(),
        plan: form.text("plan"),
        ..Default::default()
    });
    match ask.registration().repair_drift(request).await {
        Ok(report) => show(&ask, &report.into_inner(), &listing, true).await,
        Err(status) => {
            let page = Page::new(PAGE).refused(&mendable(status)?);
            let list = listing.shown("");
            page.show(&ask, context! { items => (), list }).await
        }
    }
}

async fn show(ask: &Ask, report: &DriftReport, listing: &Listing, repaired: bool) -> Shown {
    let shown = context! {
        items => report.items.iter().map(show::drift).collect::<Vec<_>>(),
        possible => report.items.iter().any(|item| item.repair == "possible"),
        looked_at => report.looked_at,
        plan => &report.plan,
        repaired,
        after => &listing.after,
        list => listing.shown(&report.next),
    };
    Page::new(PAGE).show(ask, shown).await
}
