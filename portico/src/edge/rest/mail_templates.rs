//! `/mail-templates`: what e-mails say.

use axum::Json;
use http::StatusCode;
use portico_proto::{
    Error,
    notification::v1::{
        ListTemplatesRequest, MailTemplate, PreviewTemplateRequest, PreviewTemplateResponse,
        SendTestMailRequest, SendTestMailResponse, Template,
    },
    rest::Enumeration as _,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{answer::List, input::Id};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_mail_templates))
        .routes(routes!(preview_mail_template))
        .routes(routes!(test_mail_template))
}

/// The template of a name in a path.
///
/// # Errors
/// There is none.
pub(in crate::edge) fn named(name: &str) -> Result<MailTemplate> {
    MailTemplate::from_word(name).ok_or_else(|| Error::not_found("template").into())
}

/// Every e-mail that Portico sends.
#[utoipa::path(get, path = "/mail-templates", tag = "E-mail", responses((status = 200, body = List<Template>)))]
async fn list_mail_templates(ctx: RequestContext) -> Result<List<Template>> {
    let request = ctx.request(ListTemplatesRequest {});
    let answer = ctx.notification().list_templates(request).await?;
    let answer = answer.into_inner();
    Ok(List::new(answer.templates, String::new()))
}

/// Renders a template with example data.
#[utoipa::path(get, path = "/mail-templates/{name}/preview", tag = "E-mail", responses((status = 200, body = PreviewTemplateResponse)))]
async fn preview_mail_template(
    ctx: RequestContext,
    Id(name): Id,
) -> Result<Json<PreviewTemplateResponse>> {
    let name = named(&name)?.into();
    let request = ctx.request(PreviewTemplateRequest { name });
    let answer = ctx.notification().preview_template(request).await?;
    Ok(Json(answer.into_inner()))
}

/// Sends the rendered template to the caller.
#[utoipa::path(post, path = "/mail-templates/{name}/test", tag = "E-mail", responses((status = 202, body = SendTestMailResponse)))]
async fn test_mail_template(
    ctx: RequestContext,
    Id(name): Id,
) -> Result<(StatusCode, Json<SendTestMailResponse>)> {
    let name = named(&name)?.into();
    let request = ctx.request(SendTestMailRequest { name });
    let answer = ctx.notification().send_test_mail(request).await?;
    Ok((StatusCode::ACCEPTED, Json(answer.into_inner())))
}
