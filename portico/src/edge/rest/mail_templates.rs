//! `/mail-templates`: what e-mails say.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use portico_proto::notification::v1::{
    self as proto, ListTemplatesRequest, PreviewTemplateRequest, SendTestMailRequest,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{answer::List, input::Id};
use crate::edge::{Edge, ask::Ask, problem::Result};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_mail_templates))
        .routes(routes!(preview_mail_template))
        .routes(routes!(test_mail_template))
}

#[derive(Serialize, ToSchema)]
struct MailTemplate {
    name: String,
    /// Whether the operator's theme folder overrides it.
    overridden: bool,
    description: String,
}

/// A template filled with example data.
#[derive(Serialize, ToSchema)]
struct MailPreview {
    subject: String,
    text: String,
    html: String,
}

#[derive(Serialize, ToSchema)]
struct TestMail {
    /// Look at `/deliveries/{id}` for what becomes of it.
    delivery_id: String,
}

impl From<proto::Template> for MailTemplate {
    fn from(from: proto::Template) -> Self {
        Self {
            name: from.name,
            overridden: from.overridden,
            description: from.description,
        }
    }
}

/// Every e-mail that Portico sends.
#[utoipa::path(get, path = "/mail-templates", tag = "E-mail", responses((status = 200, body = List<MailTemplate>)))]
async fn list_mail_templates(ask: Ask) -> Result<List<MailTemplate>> {
    let request = ask.request(ListTemplatesRequest {});
    let answer = ask
        .notification()
        .list_templates(request)
        .await?
        .into_inner();
    Ok(List::new(answer.templates, String::new()))
}

/// A template filled with example data.
#[utoipa::path(get, path = "/mail-templates/{name}/preview", tag = "E-mail", responses((status = 200, body = MailPreview)))]
async fn preview_mail_template(ask: Ask, Id(name): Id) -> Result<Json<MailPreview>> {
    let request = ask.request(PreviewTemplateRequest { name });
    let answer = ask
        .notification()
        .preview_template(request)
        .await?
        .into_inner();
    Ok(Json(MailPreview {
        subject: answer.subject,
        text: answer.text,
        html: answer.html,
    }))
}

/// Sends the filled template to the caller.
#[utoipa::path(post, path = "/mail-templates/{name}/test", tag = "E-mail", responses((status = 202, body = TestMail)))]
async fn test_mail_template(ask: Ask, Id(name): Id) -> Result<Response> {
    let request = ask.request(SendTestMailRequest { name });
    let answer = ask
        .notification()
        .send_test_mail(request)
        .await?
        .into_inner();
    let body = TestMail {
        delivery_id: answer.delivery_id,
    };
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}
