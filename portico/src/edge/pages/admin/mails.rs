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
        show,
        view::{Page, Shown, done, mendable},
    },
    named, names,
};
use crate::edge::{Edge, ask::Ask, problem::Result, rest::mail_template};

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

async fn deliveries(ask: Ask, Query(listing): Query<Listing>) -> Shown {
    page(&ask, &listing, None).await
}

async fn page(ask: &Ask, listing: &Listing, error: Option<&Error>) -> Shown {
    let request = ListDeliveriesRequest {
        after: listing.after.clone(),
        sort: listing.sort.clone(),
        status: word::<DeliveryStatus>(&listing.status),
        subject_id: listing.subject_id.clone(),
        ..Default::default()
    };
    let page = ask
        .notification()
        .list_deliveries(ask.request(request))
        .await?
        .into_inner();
    let names = names(
        ask,
        page.deliveries.iter().map(|one| one.recipient_id.as_str()),
    )
    .await;
    let delivery = |delivery| show::delivery(delivery, |id| named(&names, id));
    let shown = context! {
        deliveries => page.deliveries.iter().map(delivery).collect::<Vec<_>>(),
        list => listing.shown(&page.next),
    };
    Page::new("admin/mails.html")
        .refused_if(error)
        .show(ask, shown)
        .await
}

async fn resend(Path(id): Path<String>, Posted { ask, .. }: Posted) -> Shown {
    let request = ask.request(ResendDeliveryRequest { id });
    match ask.notification().resend_delivery(request).await {
        Ok(_) => Ok(done("/admin/mails", "resent")),
        Err(status) => page(&ask, &Listing::default(), Some(&mendable(status)?)).await,
    }
}

async fn templates(ask: Ask) -> Shown {
    let request = ask.request(ListTemplatesRequest {});
    let all = ask
        .notification()
        .list_templates(request)
        .await?
        .into_inner()
        .templates;
    let templates = Value::from(Serde(all));
    Page::new("admin/mail_templates.html")
        .show(&ask, context! { templates })
        .await
}

async fn filled(ask: &Ask, name: &str) -> Result<PreviewTemplateResponse> {
    let name = mail_template(name)?.into();
    let request = ask.request(PreviewTemplateRequest { name });
    Ok(ask
        .notification()
        .preview_template(request)
        .await?
        .into_inner())
}

async fn template(ask: Ask, Path(name): Path<String>) -> Shown {
    show_template(&ask, &name, None).await
}

async fn show_template(ask: &Ask, name: &str, error: Option<&Error>) -> Shown {
    let PreviewTemplateResponse { subject, text, .. } = filled(ask, name).await?;
    let shown = context! { name, subject, text };
    Page::new("admin/mail_template.html")
        .refused_if(error)
        .show(ask, shown)
        .await
}

async fn html(ask: Ask, Path(name): Path<String>) -> Shown {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, MAIL_POLICY),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Html(filled(&ask, &name).await?.html)).into_response())
}

async fn test(Path(name): Path<String>, Posted { ask, .. }: Posted) -> Shown {
    let request = ask.request(SendTestMailRequest {
        name: mail_template(&name)?.into(),
    });
    match ask.notification().send_test_mail(request).await {
        Ok(_) => Ok(done("/admin/mails", "test_sent")),
        Err(status) => show_template(&ask, &name, Some(&mendable(status)?)).await,
    }
}
