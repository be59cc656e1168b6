//! Access requests: deciding, and seeing what became of each.

use axum::{
    Router,
    extract::{Path, Query},
    routing::{get, post},
};
use minijinja::{Value, context, value::Serde};
use portico_proto::{
    Error,
    access::v1::{
        AccessRequestStatus, ApproveAccessRequestRequest, ListAccessRequestsRequest,
        RejectAccessRequestRequest, RetryAccessRequestRequest, RevokeAccessRequestRequest,
    },
};

use super::{
    super::{
        fetch,
        form::{Form, Posted},
        lists::{Listing, word},
        page::{ANY_VERSION, PageResponse, done, mendable, render},
        show,
    },
    named, names,
};
use crate::edge::{Edge, request::RequestContext, rest::preview::dry_run};

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/access-requests", get(list))
        .route("/access-requests/{id}", get(one))
        .route("/access-requests/{id}/approve", post(approve))
        .route("/access-requests/{id}/reject", post(reject))
        .route("/access-requests/{id}/revoke", post(revoke))
        .route("/access-requests/{id}/retry", post(retry))
        .route("/access-requests/{id}/preview", post(preview))
}

async fn list(ctx: RequestContext, Query(listing): Query<Listing>) -> PageResponse {
    let request = ctx.request(ListAccessRequestsRequest {
        after: listing.after.clone(),
        sort: listing.sort.clone(),
        q: listing.q.clone(),
        status: word::<AccessRequestStatus>(&listing.status),
        ..Default::default()
    });
    let page = ctx.access().list_access_requests(request).await?;
    let page = page.into_inner();
    let names = names(
        &ctx,
        page.access_requests
            .iter()
            .map(|one| one.requester_id.as_str()),
    )
    .await;
    let request = |request| show::access_request(request, |by| named(&names, by));
    let shown = context! {
        requests => page.access_requests.iter().map(request).collect::<Vec<_>>(),
        list => listing.shown(&page.next),
    };
    render(&ctx, "admin/access_requests.html", shown, None).await
}

async fn one(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    page(&ctx, &id, context! {}, None).await
}

/// `more` is what a form typed, or the preview.
async fn page(ctx: &RequestContext, id: &str, more: Value, error: Option<&Error>) -> PageResponse {
    let request = fetch::access_request(ctx, id).await?;
    let people = request.timeline.iter().map(|entry| entry.by.as_str());
    let people = people.chain([request.requester_id.as_str()]);
    let (names, types) = futures::join!(
        names(ctx, people),
        // A request for API keys has no client type.
        fetch::client_types(ctx, request.client_type_id.iter().cloned().collect())
    );
    // A client type that was deleted meanwhile is no reason not to show the request.
    let types = types.unwrap_or_default();
    let shown = context! {
        request => show::access_request(&request, |by| named(&names, by)),
        client_type => types.first().map(|one| Value::from(Serde(one))),
        ..more
    };
    render(ctx, "admin/access_request.html", shown, error).await
}

async fn preview(Path(id): Path<String>, Posted { ctx, .. }: Posted) -> PageResponse {
    match dry_run(&ctx, &id).await {
        Ok(preview) => {
            page(
                &ctx,
                &id,
                context! { preview => show::preview(&preview) },
                None,
            )
            .await
        }
        Err(failure) => {
            let error = mendable(failure.error)?;
            page(&ctx, &id, context! {}, Some(&error)).await
        }
    }
}

async fn approve(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(ApproveAccessRequestRequest {
        id: id.clone(),
        note: form.text("note"),
        if_version: ANY_VERSION,
        ..Default::default()
    });
    let answer = ctx.access().approve_access_request(request).await;
    decided(&ctx, &id, &form, answer.map(|_| "approved")).await
}

async fn reject(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(RejectAccessRequestRequest {
        id: id.clone(),
        reason: form.text("reason"),
        if_version: ANY_VERSION,
    });
    let answer = ctx.access().reject_access_request(request).await;
    decided(&ctx, &id, &form, answer.map(|_| "rejected")).await
}

async fn revoke(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(RevokeAccessRequestRequest {
        id: id.clone(),
        reason: form.text("reason"),
        if_version: ANY_VERSION,
    });
    let answer = ctx.access().revoke_access_request(request).await;
    decided(&ctx, &id, &form, answer.map(|_| "revoked")).await
}

async fn retry(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(RetryAccessRequestRequest {
        id: id.clone(),
        ..Default::default()
    });
    let answer = ctx.access().retry_access_request(request).await;
    decided(&ctx, &id, &form, answer.map(|_| "retried")).await
}

pub(super) async fn decided(
    ctx: &RequestContext,
    id: &str,
    form: &Form,
    answer: Result<&'static str, tonic::Status>,
) -> PageResponse {
    match answer {
        Ok(notice) => Ok(done(&format!("/admin/access-requests/{id}"), notice)),
        Err(status) => {
            let error = mendable(status)?;
            page(ctx, id, context! { form => form.typed(&[]) }, Some(&error)).await
        }
    }
}
