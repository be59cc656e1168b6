//! What every page knows, and how it is written.

use axum::response::{Html, IntoResponse, Redirect, Response};
use http::{HeaderValue, StatusCode, header};
use minijinja::{Value, context};
use portico_proto::{Error, FieldError, Kind, access::v1::GetCartRequest, accounts::v1::GetCurrentUserRequest};
use portico_runtime::{Caller, Role};
use portico_vault::Secret;

use super::theme;
use crate::edge::{ask::Ask, problem::Failure};

/// A page that is being made: its template, what it shows, and what was wrong with the form on it.
pub(super) struct Page {
    template: &'static str,
    status: StatusCode,
    wrong: Option<Error>,
    visit: Option<HeaderValue>,
}

/// What handlers of pages return: a page, a redirect, or the page of an error.
pub(super) type Shown = std::result::Result<Response, Response>;

impl Page {
    /// A page of the theme, for example `catalogue.html`.
    pub(super) fn new(template: &'static str) -> Self {
        Self { template, status: StatusCode::OK, wrong: None, visit: None }
    }

    /// The page again because its form was refused: with the error above it and beside its fields.
    pub(super) fn refused(mut self, error: &Error) -> Self {
        self.status = error.http_status();
        self.wrong = Some(error.clone());
        self
    }

    /// Writes the page. `shown` is the page's own part of the context.
    pub(super) async fn show(mut self, ask: &Ask, shown: Value) -> Response {
        let csrf = match self.csrf_token(ask) {
            Ok(token) => token,
            Err(error) => return plain(&error),
        };
        let wrong = self.wrong.as_ref();
        let fields: std::collections::BTreeMap<&str, &str> = wrong
            .map(|error| error.fields.iter().map(|f: &FieldError| (f.field.as_str(), f.message.as_str())).collect())
            .unwrap_or_default();
        let common = context! {
            csrf_token => csrf,
            user => user(ask).await,
            cart_size => cart_size(ask).await,
            signup => !matches!(ask.edge().deps.config.signup, portico_runtime::config::Signup::Closed),
            error => wrong.map(|error| context! { message => error.message, code => error.code }),
            errors => fields,
        };
        let written = theme::templates(ask.edge()).and_then(|templates| {
            let context = context! { ..shown, ..common };
            templates.get_template(self.template).and_then(|template| template.render(context)).map_err(|error| {
                tracing::error!(template = self.template, error = format!("{error:#}"), "page cannot be written");
                Failure::from(Error::internal())
            })
        });
        match written {
            Ok(text) => {
                let mut response = (self.status, Html(text)).into_response();
                let headers = response.headers_mut();
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                if let Some(visit) = self.visit {
                    headers.append(header::SET_COOKIE, visit);
                }
                response
            }
            Err(failure) => plain(&failure.error),
        }
    }

    /// The token for the forms of this page: of the session, or of the visit, which begins here if need be.
    fn csrf_token(&mut self, ask: &Ask) -> Result<String, Error> {
        let edge = ask.edge();
        if let Some(session) = ask.session() {
            return Ok(edge.csrf.csrf_token(session));
        }
        if let Some(visit) = ask.visit() {
            return Ok(edge.csrf.csrf_token(visit));
        }
        let visit = Secret::new(uuid::Uuid::from_bytes(rand::random()).simple().to_string());
        self.visit = Some(edge.auth.cookies().set_visit(visit.expose())?);
        Ok(edge.csrf.csrf_token(&visit))
    }
}

/// Who is signed in, for the head of the page.
async fn user(ask: &Ask) -> Option<Value> {
    let Caller::User { id, role } = ask.caller() else { return None };
    let current = ask.accounts().get_current_user(ask.request(GetCurrentUserRequest {})).await;
    let name = current.map(|user| user.into_inner().name).unwrap_or_default();
    Some(context! { id => id.to_string(), name, admin => role == Role::Admin })
}

/// How many products are in the cart; nothing where it cannot be told, which is no reason not to show the page.
async fn cart_size(ask: &Ask) -> Option<usize> {
    ask.session()?;
    let cart = ask.access().get_cart(ask.request(GetCartRequest {})).await.ok()?;
    Some(cart.into_inner().items.len())
}

/// The page of an error: what was wrong and where to go on. Visitors who must sign in are taken there.
pub(super) async fn failed(ask: &Ask, error: impl Into<Error>) -> Response {
    let error = error.into();
    if error.kind == Kind::Unauthenticated {
        return Redirect::to("/login").into_response();
    }
    let shown = context! { title => error.kind.title(), message => error.message, code => error.code };
    let mut response = Page::new("error.html").show(ask, shown).await;
    *response.status_mut() = error.http_status();
    response
}

/// When not even the page of an error can be written.
fn plain(error: &Error) -> Response {
    (error.http_status(), error.message.clone()).into_response()
}

/// After a form did its work: to the page that shows it, with a word about it.
pub(super) fn done(path: &str, notice: &'static str) -> Response {
    let separator = if path.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{path}{separator}notice={notice}")).into_response()
}
