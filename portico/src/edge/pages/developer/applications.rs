//! My applications: details, credentials, editing, deleting.

use axum::{Router, extract::Path, routing::get};
use minijinja::{Value, context, value::Serde};
use portico_proto::{
    Error,
    access::v1::{
        AccessRequest, AccessRequestStatus, Application, CreateApplicationRequest,
        DeleteApplicationRequest, GetApplicationRequest, ListAccessRequestsRequest,
        UpdateApplicationRequest,
    },
    rest::FieldMask,
};

use super::{
    api_keys,
    confirm::Question,
    credentials::{self, Revealed},
    dashboard::own_id,
    form::{Form, Posted},
    page::{PageResponse, done, mendable, refused, render},
    show,
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

const EDIT: &str = "developer/application_edit.html";

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/dashboard/applications/new", get(new).post(create))
        .route("/dashboard/applications/{id}", get(application))
        .route("/dashboard/applications/{id}/edit", get(edit).post(save))
        .route(
            "/dashboard/applications/{id}/delete",
            get(confirm_delete).post(delete),
        )
}

async fn application(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    page(&ctx, &id, Revealed::Nothing, None).await
}

/// The page of an application; with its secrets only where they were asked for.
pub(super) async fn page(
    ctx: &RequestContext,
    id: &str,
    revealed: Revealed,
    error: Option<&Error>,
) -> PageResponse {
    let application = find(ctx, id).await?;
    let requests = requests(ctx, id).await?;
    let keys = api_keys::of_application(ctx, id, &revealed).await?;
    let keys_unknown = keys.is_none();
    let keys = keys.unwrap_or_default();
    let clients = credentials::clients(ctx, &application, &requests, revealed).await?;
    let under_way = |value: &Value| value.get_attr("under_way").is_ok_and(|flag| flag.is_true());
    let pending = |one: &AccessRequest| one.status() == AccessRequestStatus::Pending;
    let pending = requests.iter().any(pending);
    let requests: Vec<Value> = requests
        .iter()
        .map(|one| show::access_request(one, |by| by.to_owned()))
        .collect();
    let shown = context! {
        under_way => requests.iter().chain(&clients).chain(&keys).any(under_way),
        pending,
        own => application.owner_id == own_id(ctx),
        application => Value::from(Serde(application)),
        requests,
        clients,
        keys,
        keys_unknown,
    };
    render(ctx, "developer/application.html", shown, error).await
}

/// The page after a form about its credentials: with a notice, or with what was wrong.
pub(super) async fn answered(
    ctx: &RequestContext,
    id: &str,
    answer: std::result::Result<&'static str, tonic::Status>,
) -> PageResponse {
    match answer {
        Ok(notice) => Ok(done(&path(id), notice)),
        Err(status) => page(ctx, id, Revealed::Nothing, Some(&mendable(status)?)).await,
    }
}

async fn find(ctx: &RequestContext, id: &str) -> Result<Application> {
    let request = ctx.request(GetApplicationRequest { id: id.to_owned() });
    Ok(ctx.access().get_application(request).await?.into_inner())
}

async fn requests(ctx: &RequestContext, application_id: &str) -> Result<Vec<AccessRequest>> {
    let request = ctx.request(ListAccessRequestsRequest {
        limit: 100,
        application_id: application_id.to_owned(),
        ..Default::default()
    });
    let page = ctx.access().list_access_requests(request).await?;
    Ok(page.into_inner().access_requests)
}

async fn new(ctx: RequestContext) -> PageResponse {
    ctx.caller().require_user()?;
    let shown = context! { form => context! {} };
    render(&ctx, EDIT, shown, None).await
}

async fn create(Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(CreateApplicationRequest {
        application: Some(read(&form, "", &[])),
    });
    match ctx.access().create_application(request).await {
        Ok(made) => Ok(done(&path(&made.get_ref().id), "saved")),
        Err(status) => refused(&ctx, EDIT, &form, context! {}, status).await,
    }
}

/// The fields of a form that begin so. `kept`: the redirect URLs that the application has.
pub(super) fn read(form: &Form, prefix: &str, kept: &[String]) -> Application {
    let field = |name: &str| format!("{prefix}{name}");
    Application {
        name: form.text(&field("name")),
        description: form.text(&field("description")),
        redirect_urls: form.urls(&field("redirect_urls"), kept),
        ..Application::default()
    }
}

fn path(id: &str) -> String {
    format!("/dashboard/applications/{id}")
}

async fn edit(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    let application = find(&ctx, &id).await?;
    let form = context! {
        redirect_urls => application.redirect_urls.join("\n"),
        ..Value::from(Serde(&application))
    };
    render(&ctx, EDIT, context! { id, form }, None).await
}

async fn save(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let present = find(&ctx, &id).await?;
    // The form has no visibility; it stays.
    let mask = ["name", "description", "redirect_urls"].map(str::to_owned);
    let request = ctx.request(UpdateApplicationRequest {
        id: id.clone(),
        if_version: form.version(),
        application: Some(read(&form, "", &present.redirect_urls)),
        update_mask: Some(FieldMask { paths: mask.into() }),
    });
    match ctx.access().update_application(request).await {
        Ok(_) => Ok(done(&path(&id), "saved")),
        Err(status) => refused(&ctx, EDIT, &form, context! { id }, status).await,
    }
}

async fn confirm_delete(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    question(&ctx, &id, None).await
}

async fn question(ctx: &RequestContext, id: &str, error: Option<&Error>) -> PageResponse {
    let application = find(ctx, id).await?;
    let question = Question {
        title: format!("Delete \u{201c}{}\u{201d}?", application.name),
        consequence: "Its access is revoked. Its OAuth clients are deleted at the identity providers and its API keys at \
            the gateways. Its credentials stop working at once.",
        button: "Delete the application",
        back: path(id),
        version: application.version,
    };
    question.show(ctx, error).await
}

async fn delete(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(DeleteApplicationRequest {
        id: id.clone(),
        if_version: form.version(),
    });
    match ctx.access().delete_application(request).await {
        Ok(_) => Ok(done("/dashboard", "deleted")),
        Err(status) => question(&ctx, &id, Some(&mendable(status)?)).await,
    }
}
