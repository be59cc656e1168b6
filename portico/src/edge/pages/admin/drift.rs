//! What somebody else changed at providers and gateways, and its repair.

use axum::{Router, extract::Query, routing::get};
use minijinja::context;
use portico_proto::operations::v1::{
    DriftRepair, DriftReport, PlanDriftRequest, RepairDriftRequest,
};

use super::super::{
    form::Posted,
    lists::Listing,
    page::{PageResponse, mendable, render},
    show,
};
use crate::edge::{Edge, halves::drift, request::RequestContext};

const PAGE: &str = "admin/drift.html";

pub(super) fn routes() -> Router<Edge> {
    Router::new().route("/drift", get(plan).post(repair))
}

async fn plan(ctx: RequestContext, Query(listing): Query<Listing>) -> PageResponse {
    let query = PlanDriftRequest {
        after: listing.after.clone(),
        ..Default::default()
    };
    let report = drift::plan(&ctx, query).await?;
    show(&ctx, &report, &listing, false).await
}

/// Repairs what the page shows.
async fn repair(Query(listing): Query<Listing>, Posted { ctx, form }: Posted) -> PageResponse {
    let query = RepairDriftRequest {
        after: listing.after.clone(),
        plan: Some(form.text("plan")).filter(|plan| !plan.is_empty()),
        ..Default::default()
    };
    match drift::repair(&ctx, query).await {
        Ok(report) => show(&ctx, &report, &listing, true).await,
        Err(failure) => {
            let shown = context! { items => (), list => listing.shown("") };
            render(&ctx, PAGE, shown, Some(&mendable(failure.error)?)).await
        }
    }
}

async fn show(
    ctx: &RequestContext,
    report: &DriftReport,
    listing: &Listing,
    repaired: bool,
) -> PageResponse {
    let shown = context! {
        items => report.items.iter().map(show::drift).collect::<Vec<_>>(),
        possible => report.items.iter().any(|item| item.repair() == DriftRepair::Possible),
        looked_at => report.looked_at,
        plan => report.plan(),
        incomplete => &report.incomplete,
        repaired,
        after => &listing.after,
        list => listing.shown(report.next()),
    };
    render(ctx, PAGE, shown, None).await
}
