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
    show,
    view::{Page, Shown, done, mendable},
};
use super::identity_providers;
use crate::edge::{Edge, ask::Ask};

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/identity-providers/{id}/conformance", get(one).post(start))
        .route("/identity-providers/{id}/retry", post(retry))
        .route("/identity-providers/{id}/secret-rotation", post(rotation))
}

fn path(id: &str) -> String {
    format!("/admin/identity-providers/{id}/conformance")
}

async fn one(ask: Ask, Path(id): Path<String>) -> Shown {
    page(&ask, &id, None).await
}

async fn page(ask: &Ask, id: &str, error: Option<&Error>) -> Shown {
    let provider = identity_providers::find(ask, id).await?;
    let request = ask.request(GetConformanceCheckRequest {
        identity_provider_id: id.to_owned(),
    });
    let check = ask
        .registration()
        .get_conformance_check(request)
        .await?
        .into_inner();
    let shown = context! {
        provider => show::identity_provider(&provider),
        check => show::conformance(&check),
    };
    Page::new("admin/conformance.html")
        .refused_if(error)
        .show(ask, shown)
        .await
}

async fn start(Path(id): Path<String>, Posted { ask, form }: Posted) -> Shown {
    let request = ask.request(StartConformanceCheckRequest {
        identity_provider_id: id.clone(),
        scopes: form.words("scopes"),
    });
    match ask.registration().start_conformance_check(request).await {
        Ok(_) => Ok(done(&path(&id), "check_started")),
        Err(status) => page(&ask, &id, Some(&mendable(status)?)).await,
    }
}

async fn retry(Path(id): Path<String>, Posted { ask, .. }: Posted) -> Shown {
    let clients = ask.request(RetryIdentityProviderRequest {
        identity_provider_id: id.clone(),
    });
    let retried = ask.registration().retry_identity_provider(clients).await;
    if let Err(status) = retried {
        return page(&ask, &id, Some(&mendable(status)?)).await;
    }
    let requests = ask.request(RetryAccessRequestsRequest {
        identity_provider_id: id.clone(),
    });
    match ask.access().retry_access_requests(requests).await {
        Ok(_) => Ok(done(&path(&id), "all_retried")),
        Err(status) => page(&ask, &id, Some(&mendable(status)?)).await,
    }
}

async fn rotation(Path(id): Path<String>, Posted { ask, form }: Posted) -> Shown {
    let days_before = match form.number("days_before") {
        Ok(days) => days.unwrap_or_default(),
        Err(error) => return page(&ask, &id, Some(&error)).await,
    };
    let request = ask.request(SetSecretRotationRequest {
        identity_provider_id: id.clone(),
        days_before: u32::try_from(days_before).unwrap_or(u32::MAX),
        if_version: 0,
    });
    match ask.registration().set_secret_rotation(request).await {
        Ok(_) => Ok(done(&path(&id), "saved")),
        Err(status) => page(&ask, &id, Some(&mendable(status)?)).await,
    }
}
