//! What a provider can do, what is tried again there, and whether its secrets are rotated by themselves.

use axum::{
    Router,
    extract::Path,
    routing::{get, post},
};
use minijinja::context;
use portico_proto::{
    Error,
    access::v1::RetryAccessRequestsRequest,
    registration::v1::{
        GetConformanceCheckRequest, RetryIdentityProviderRequest, SetSecretRotationRequest,
        StartConformanceCheckRequest,
    },
};

use super::super::{
    form::Posted,
    page::{PageResponse, done, mendable, render},
    show,
};
use super::identity_providers;
use crate::edge::{Edge, request::RequestContext};

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/identity-providers/{id}/conformance", get(one).post(start))
        .route("/identity-providers/{id}/retry", post(retry))
        .route("/identity-providers/{id}/secret-rotation", post(rotation))
}

fn path(id: &str) -> String {
    format!("/admin/identity-providers/{id}/conformance")
}

async fn one(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    page(&ctx, &id, None).await
}

async fn page(ctx: &RequestContext, id: &str, error: Option<&Error>) -> PageResponse {
    let provider = identity_providers::find(ctx, id).await?;
    let request = ctx.request(GetConformanceCheckRequest {
        identity_provider_id: id.to_owned(),
    });
    let check = ctx.registration().get_conformance_check(request).await?;
    let check = check.into_inner();
    let shown = context! {
        provider => show::identity_provider(&provider),
        check => show::conformance(&check),
    };
    render(ctx, "admin/conformance.html", shown, error).await
}

async fn start(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(StartConformanceCheckRequest {
        identity_provider_id: id.clone(),
        scopes: form.words("scopes"),
    });
    match ctx.registration().start_conformance_check(request).await {
        Ok(_) => Ok(done(&path(&id), "check_started")),
        Err(status) => page(&ctx, &id, Some(&mendable(status)?)).await,
    }
}

async fn retry(Path(id): Path<String>, Posted { ctx, .. }: Posted) -> PageResponse {
    let clients = ctx.request(RetryIdentityProviderRequest {
        identity_provider_id: id.clone(),
    });
    let retried = ctx.registration().retry_identity_provider(clients).await;
    if let Err(status) = retried {
        return page(&ctx, &id, Some(&mendable(status)?)).await;
    }
    let requests = ctx.request(RetryAccessRequestsRequest {
        identity_provider_id: id.clone(),
    });
    match ctx.access().retry_access_requests(requests).await {
        Ok(_) => Ok(done(&path(&id), "all_retried")),
        Err(status) => page(&ctx, &id, Some(&mendable(status)?)).await,
    }
}

async fn rotation(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let days_before = match form.number("days_before") {
        Ok(days) => days.map(|days| u32::try_from(days).unwrap_or(u32::MAX)),
        Err(error) => return page(&ctx, &id, Some(&error)).await,
    };
    let request = ctx.request(SetSecretRotationRequest {
        identity_provider_id: id.clone(),
        days_before,
        if_version: 0,
    });
    match ctx.registration().set_secret_rotation(request).await {
        Ok(_) => Ok(done(&path(&id), "saved")),
        Err(status) => page(&ctx, &id, Some(&mendable(status)?)).await,
    }
}
