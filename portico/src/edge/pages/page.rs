//! What every page has in common, and how it is rendered.

use axum::response::{Html, IntoResponse as _, Redirect, Response};
use http::{HeaderValue, StatusCode, header};
use minijinja::{Value, context};
use portico_proto::{Error, Kind, access::v1::GetCartRequest, accounts::v1::GetCurrentUserRequest};
use portico_runtime::{Caller, Role, config::Signup};
use portico_vault::Secret;

use super::{
    field_errors::{by_field, problem},
    theme,
};
use crate::edge::{
    problem::{Result, retry_after},
    request::RequestContext,
};

/// A page to be rendered: its template, its status, and the error of the form on it.
pub(super) struct Page {
    template: &'static str,
    status: StatusCode,
    wrong: Option<Error>,
    visit: Option<HeaderValue>,
}

/// The response of a page's handler: a page or a redirect; a failure becomes the error page.
pub(super) type PageResponse = Result<Response>;

impl Page {
    /// A page of the theme, for example `catalogue.html`.
    pub(super) fn new(template: &'static str) -> Self {
        Self {
            template,
            status: StatusCode::OK,
            wrong: None,
            visit: None,
        }
    }

    /// The same page after its form was refused, with the error above the form and beside its fields.
    pub(super) fn refused(mut self, error: &Error) -> Self {
        self.status = error.http_status();
        self.wrong = Some(error.clone());
        self
    }

    /// As [`Page::refused`], where there is an error.
    pub(super) fn refused_if(self, error: Option<&Error>) -> Self {
        match error {
            Some(error) => self.refused(error),
            None => self,
        }
    }

    /// Renders the page. `shown` is the page's own part of the template context.
    pub(super) async fn show(mut self, ctx: &RequestContext, shown: Value) -> PageResponse {
        let csrf_token = self.csrf_token(ctx)?;
        let common = self.common(ctx, csrf_token).await;
        let text = theme::templates(ctx.edge())
            .get_template(self.template)
            .and_then(|template| template.render(context! { ..shown, ..common }))
            .map_err(|error| {
                // Not its long form, which has the values of the page.
                tracing::error!(template = self.template, %error, "page cannot be written");
                Error::internal()
            })?;
        let mut response = (self.status, Html(text)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wrong) = &self.wrong {
            retry_after(wrong, headers);
        }
        if let Some(visit) = self.visit {
            headers.append(header::SET_COOKIE, visit);
        }
        Ok(response)
    }

    async fn common(&self, ctx: &RequestContext, csrf_token: String) -> Value {
        let (user, cart_size) = futures::join!(user(ctx), cart_size(ctx));
        let query = ctx.uri().query().unwrap_or_default();
        let notice = url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "notice")
            .map(|(_, notice)| notice.into_owned());
        context! {
            csrf_token,
            user,
            cart_size,
            notice,
            path => ctx.uri().path(),
            signup => !matches!(ctx.edge().deps.config.signup, Signup::Closed),
            error => self.wrong.as_ref().map(problem),
            errors => self.wrong.as_ref().map(by_field).unwrap_or_default(),
        }
    }

    /// The token for the forms of this page: of the session, or of the visit, which begins here if need be.
    fn csrf_token(&mut self, ctx: &RequestContext) -> Result<String> {
        let edge = ctx.edge();
        if let Some(owner) = ctx.session().or_else(|| ctx.visit()) {
            return Ok(edge.csrf.csrf_token(owner));
        }
        let visit = Secret::new(uuid::Uuid::from_bytes(rand::random()).simple().to_string());
        self.visit = Some(edge.auth.cookies().set_visit(visit.expose())?);
        Ok(edge.csrf.csrf_token(&visit))
    }
}

/// The `if_version` of decisions. The state of the request alone says whether one is possible; a version conflict would
/// be no help, because background work raises the version while the page is open.
pub(super) const ANY_VERSION: u64 = 0;

/// The signed-in user, for the header of the page.
async fn user(ctx: &RequestContext) -> Option<Value> {
    let Caller::User { id, role } = ctx.caller() else {
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
