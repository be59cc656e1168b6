//! E-mail: what was sent, what could not be, and what the templates look like.

use axum::{
    Router,
    extract::{Path, Query},
    response::{Html, IntoResponse as _},
    routing::{get, post},
};
use http::header;
use minijinja::{Value, context, value::Serde};
use portico_proto::{
    Error,
    notification::v1::{
        DeliveryStatus, ListDeliveriesRequest, ListTemplatesRequest, PreviewTemplateRequest,
        PreviewTemplateResponse, ResendDeliveryRequest, SendTestMailRequest,
    },
};

use super::{
    super::{
        form::Posted,
        lists::{Listing, word},
        page::{PageResponse, done, mendable, render},
        show,
    },
    named, names,
};
use crate::edge::{Edge, problem::Result, request::RequestContext, rest::mail_template};

/// For the message itself: it brings its own styles, and does nothing else.
const MAIL_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'none'";

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/mails", get(deliveries))
        .route("/mails/{id}/resend", post(resend))
        .route("/mail-templates", get(templates))
        .route("/mail-templates/{name}", get(template))
        .route("/mail-templates/{name}/html", get(html))
        .route("/mail-templates/{name}/test", post(test))
}

async fn deliveries(ctx: RequestContext, Query(listing): Query<Listing>) -> PageResponse {
    page(&ctx, &listing, None).await
}

async fn page(ctx: &RequestContext, listing: &Listing, error: Option<&Error>) -> PageResponse {
    let request = ctx.request(ListDeliveriesRequest {
        after: listing.after.clone(),
        sort: listing.sort.clone(),
        status: word::<DeliveryStatus>(&listing.status),
        subject_id: listing.subject_id.clone(),
        ..Default::default()
    });
    let page = ctx.notification().list_deliveries(request).await?;
    let page = page.into_inner();
    let names = names(
        ctx,
        page.deliveries.iter().map(|one| one.recipient_id.as_str()),
    )
    .await;
    let delivery = |delivery| show::delivery(delivery, |id| named(&names, id));
    let shown = context! {
        deliveries => page.deliveries.iter().map(delivery).collect::<Vec<_>>(),
        list => listing.shown(&page.next),
    };
    render(ctx, "admin/mails.html", shown, error).await
}

async fn resend(Path(id): Path<String>, Posted { ctx, .. }: Posted) -> PageResponse {
    let request = ctx.request(ResendDeliveryRequest { id });
    match ctx.notification().resend_delivery(request).await {
        Ok(_) => Ok(done("/admin/mails", "resent")),
        Err(status) => page(&ctx, &Listing::default(), Some(&mendable(status)?)).await,
    }
}

async fn templates(ctx: RequestContext) -> PageResponse {
    let request = ctx.request(ListTemplatesRequest {});
    let all = ctx.notification().list_templates(request).await?;
    let all = all.into_inner().templates;
    let shown = context! { templates => Value::from(Serde(all)) };
    render(&ctx, "admin/mail_templates.html", shown, None).await
}

async fn filled(ctx: &RequestContext, name: &str) -> Result<PreviewTemplateResponse> {
    let name = mail_template(name)?.into();
    let request = ctx.request(PreviewTemplateRequest { name });
    let answer = ctx.notification().preview_template(request).await?;
    Ok(answer.into_inner())
}

async fn template(ctx: RequestContext, Path(name): Path<String>) -> PageResponse {
    show_template(&ctx, &name, None).await
}

async fn show_template(ctx: &RequestContext, name: &str, error: Option<&Error>) -> PageResponse {
    let PreviewTemplateResponse { subject, text, .. } = filled(ctx, name).await?;
    let shown = context! { name, subject, text };
    render(ctx, "admin/mail_template.html", shown, error).await
}

async fn html(ctx: RequestContext, Path(name): Path<String>) -> PageResponse {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, MAIL_POLICY),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Html(filled(&ctx, &name).await?.html)).into_response())
}

async fn test(Path(name): Path<String>, Posted { ctx, .. }: Posted) -> PageResponse {
    let request = ctx.request(SendTestMailRequest {
        name: mail_template(&name)?.into(),
    });
    match ctx.notification().send_test_mail(request).await {
        Ok(_) => Ok(done("/admin/mails", "test_sent")),
        Err(status) => show_template(&ctx, &name, Some(&mendable(status)?)).await,
    }
}
