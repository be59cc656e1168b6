//! My dashboard: my applications, and what I asked for.

use axum::{Router, extract::Query, routing::get};
use minijinja::{Value, context, value::Serde};
use portico_proto::access::v1::{Application, ListAccessRequestsRequest, ListApplicationsRequest};
use portico_runtime::Caller;

use super::{
    lists::Listing,
    page::{PageResponse, render},
    show,
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

/// The most pages of applications that are read, of 100 each.
const PAGES: usize = 20;

pub(super) fn routes() -> Router<Edge> {
    Router::new().route("/dashboard", get(dashboard))
}

async fn dashboard(ctx: RequestContext, Query(listing): Query<Listing>) -> PageResponse {
    ctx.caller().require_user()?;
    let request = ctx.request(ListAccessRequestsRequest {
        after: listing.after.clone(),
        requester_id: match ctx.caller().sees_all() {
            true => own_id(&ctx),
            false => String::new(),
        },
        ..Default::default()
    });
    let mut access = ctx.access();
    let requests = access.list_access_requests(request);
    let (requests, applications) = futures::join!(requests, own_applications(&ctx));
    let (requests, applications) = (requests?.into_inner(), applications?);
    let request = |request| show::access_request(request, |by| by.to_owned());
    let shown = context! {
        applications => Value::from(Serde(applications)),
        requests => requests.access_requests.iter().map(request).collect::<Vec<_>>(),
        list => listing.shown(&requests.next),
    };
    render(&ctx, "developer/dashboard.html", shown, None).await
}

/// The id of who is signed in; empty for visitors.
pub(super) fn own_id(ctx: &RequestContext) -> String {
    match ctx.caller() {
        Caller::User { id, .. } => id.to_string(),
        Caller::Anonymous | Caller::Service(_) => String::new(),
    }
}

/// The applications of who is signed in; admins, who see all, get only their own.
pub(super) async fn own_applications(ctx: &RequestContext) -> Result<Vec<Application>> {
    let owner = own_id(ctx);
    let mut all = Vec::new();
    let mut after = String::new();
    for _ in 0..PAGES {
        let request = ctx.request(ListApplicationsRequest {
            limit: 100,
            after,
            ..Default::default()
        });
        let page = ctx.access().list_applications(request).await?.into_inner();
        all.extend(
            page.applications
                .into_iter()
                .filter(|one| one.owner_id == owner),
        );
        if page.next.is_empty() {
            break;
        }
        after = page.next;
    }
    Ok(all)
}
