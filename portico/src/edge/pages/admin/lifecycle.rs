//! Suspension, and clients as they are at their providers.

use axum::{
    Router,
    extract::Path,
    routing::{get, post},
};
use minijinja::context;
use portico_proto::{
    Error,
    access::v1::{
        ResumeAccessRequestRequest, ResumeApplicationRequest, SuspendAccessRequestRequest,
        SuspendApplicationRequest,
    },
    registration::v1::{ReadOauthClientRequest, ReissueRegistrationTokenRequest},
    rest::Enumeration as _,
};

use super::super::{
    form::Posted,
    page::{ANY_VERSION, PageResponse, done, mendable, render},
    show,
};
use super::access_requests;
use crate::edge::{Edge, request::RequestContext};

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/access-requests/{id}/suspend", post(suspend_request))
        .route("/access-requests/{id}/resume", post(resume_request))
        .route("/applications/{id}/suspend", post(suspend_application))
        .route("/applications/{id}/resume", post(resume_application))
        .route("/oauth-clients/{id}", get(client))
        .route("/oauth-clients/{id}/reissue-token", post(reissue))
}

async fn suspend_request(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(SuspendAccessRequestRequest {
        id: id.clone(),
        reason: form.text("reason"),
        if_version: ANY_VERSION,
    });
    let answer = ctx.access().suspend_access_request(request).await;
    access_requests::decided(&ctx, &id, &form, answer.map(|_| "suspended")).await
}

async fn resume_request(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(ResumeAccessRequestRequest {
        id: id.clone(),
        ..Default::default()
    });
    let answer = ctx.access().resume_access_request(request).await;
    access_requests::decided(&ctx, &id, &form, answer.map(|_| "resumed")).await
}

async fn suspend_application(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(SuspendApplicationRequest {
        id: id.clone(),
        if_version: form.version(),
    });
    ctx.access().suspend_application(request).await?;
    Ok(done(&format!("/dashboard/applications/{id}"), "suspended"))
}

async fn resume_application(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(ResumeApplicationRequest {
        id: id.clone(),
        if_version: form.version(),
    });
    ctx.access().resume_application(request).await?;
    Ok(done(&format!("/dashboard/applications/{id}"), "resumed"))
}

async fn client(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    page(&ctx, &id, None).await
}

async fn page(ctx: &RequestContext, id: &str, error: Option<&Error>) -> PageResponse {
    let request = ctx.request(ReadOauthClientRequest { id: id.to_owned() });
    let read = ctx.registration().read_oauth_client(request).await?;
    let read = read.into_inner();
    let client = read.client.clone().unwrap_or_default();
    let shown = context! {
        application_id => &client.application_id,
        client => show::oauth_client(&client),
        state => read.state().as_word(),
        reason => read.reason(),
        found => show::pretty(&read.found),
        items => read.items.iter().map(show::drift).collect::<Vec<_>>(),
    };
    render(ctx, "admin/oauth_client.html", shown, error).await
}

async fn reissue(Path(id): Path<String>, Posted { ctx, .. }: Posted) -> PageResponse {
    let request = ctx.request(ReissueRegistrationTokenRequest { id: id.clone() });
    match ctx.registration().reissue_registration_token(request).await {
        Ok(_) => Ok(done(&format!("/admin/oauth-clients/{id}"), "reissued")),
        Err(status) => page(&ctx, &id, Some(&mendable(status)?)).await,
    }
}
