//! What every page has in common, and how it is rendered.

use axum::response::{Html, IntoResponse as _, Redirect, Response};
use http::{HeaderValue, StatusCode, header};
use minijinja::{Value, context};
use portico_proto::{Error, Kind, access::v1::GetCartRequest, accounts::v1::GetCurrentUserRequest};
use portico_runtime::{Caller, Role, config::Signup};
use portico_vault::Secret;

use super::{
    field_errors::{by_field, problem},
    form::Form,
    theme,
};
use crate::edge::{
    problem::{Result, retry_after},
    request::RequestContext,
};

/// The response of a page's handler: a page or a redirect; a failure becomes the error page.
pub(super) type PageResponse = Result<Response>;

/// Renders a page of the theme, for example `catalogue.html`; `shown` is the page's own part of the template context.
/// After a form was refused, the error stands above it and beside its fields.
pub(super) async fn render(
    ctx: &RequestContext,
    template: &'static str,
    shown: Value,
    error: Option<&Error>,
) -> PageResponse {
    let (csrf_token, visit) = csrf_token(ctx)?;
    let common = common(ctx, csrf_token, error).await;
    let text = theme::templates(ctx.edge())
        .get_template(template)
        .and_then(|template| template.render(context! { ..shown, ..common }))
        .map_err(|error| {
            // Not its long form, which has the values of the page.
            tracing::error!(template, %error, "page cannot be written");
            Error::internal()
        })?;
    let status = error.map_or(StatusCode::OK, Error::http_status);
    let mut response = (status, Html(text)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(error) = error {
        retry_after(error, headers);
    }
    if let Some(visit) = visit {
        headers.append(header::SET_COOKIE, visit);
    }
    Ok(response)
}

/// A form again as it was typed, with what was wrong with it; `more` is what the page has beside the form.
pub(super) async fn refused(
    ctx: &RequestContext,
    template: &'static str,
    form: &Form,
    more: Value,
    error: impl Into<Error>,
) -> PageResponse {
    let shown = context! { form => form.typed(&[]), ..more };
    render(ctx, template, shown, Some(&mendable(error)?)).await
}

async fn common(ctx: &RequestContext, csrf_token: String, error: Option<&Error>) -> Value {
    let (user, cart_size) = futures::join!(user(ctx), cart_size(ctx));
    let query = ctx.uri().query().unwrap_or_default();
    let notice = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "notice")
        .map(|(_, notice)| notice.into_owned());
    context! {
        csrf_token,
        form_key => form_key(ctx, error),
        user,
        cart_size,
        notice,
        path => ctx.uri().path(),
        signup => !matches!(ctx.edge().deps.config.signup, Signup::Closed),
        error => error.map(problem),
        errors => error.map(by_field).unwrap_or_default(),
    }
}

/// The token for the forms of a page: of the session, or of the visit, which begins with the cookie here if need be.
fn csrf_token(ctx: &RequestContext) -> Result<(String, Option<HeaderValue>)> {
    let edge = ctx.edge();
    if let Some(owner) = ctx.session().or_else(|| ctx.visit()) {
        return Ok((edge.csrf.csrf_token(owner), None));
    }
    let visit = Secret::new(uuid::Uuid::from_bytes(rand::random()).simple().to_string());
    let cookie = edge.auth.cookies().set_visit(visit.expose())?;
    Ok((edge.csrf.csrf_token(&visit), Some(cookie)))
}

/// The one-use key for the forms of a page that create something. A form that failed keeps its own where it is not known
/// whether the thing was created: sent again, it does not create another one.
fn form_key(ctx: &RequestContext, error: Option<&Error>) -> String {
    let unknown = |error: &Error| matches!(error.kind, Kind::Unavailable | Kind::Internal);
    match ctx.form_key() {
        Some(key) if error.is_some_and(unknown) => key.to_owned(),
        _ => ctx.edge().deps.clock.new_id().to_string(),
    }
}

/// The `if_version` of decisions. The state of the request alone says whether one is possible; a version conflict would
/// be no help, because background work raises the version while the page is open.
pub(super) const ANY_VERSION: u64 = 0;

/// The signed-in user, for the header of the page.
async fn user(ctx: &RequestContext) -> Option<Value> {
    let Caller::User { id, role, .. } = ctx.caller() else {
        return None;
    };
    let request = ctx.request(GetCurrentUserRequest {});
    let current = ctx.accounts().get_current_user(request).await;
    let name = current
        .ok()
        .and_then(|user| user.into_inner().name)
        .unwrap_or_default();
    Some(context! { id => id.to_string(), name, admin => role == Role::Admin })
}

/// Number of products in the cart; `None` where it is unknown, which must not stop the page from being shown.
async fn cart_size(ctx: &RequestContext) -> Option<usize> {
    ctx.session()?;
    let request = ctx.request(GetCartRequest {});
    let cart = ctx.access().get_cart(request).await.ok()?;
    Some(cart.into_inner().items.len())
}

/// An error that the sender of the form can fix, to be shown with the form; any other fails the page.
pub(super) fn mendable(error: impl Into<Error>) -> Result<Error> {
    let error = error.into();
    match error.kind {
        Kind::Unauthenticated | Kind::Forbidden | Kind::NotFound => Err(error.into()),
        _ => Ok(error),
    }
}

/// Redirects to the page that shows what a form changed, with a notice about it.
pub(super) fn done(path: &str, notice: &'static str) -> Response {
    let separator = if path.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{path}{separator}notice={notice}")).into_response()
}
