//! What every page knows, and how it is written.

use std::collections::BTreeMap;

use axum::{
    extract::{FromRequestParts as _, Request, State},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use minijinja::{Value, context};
use portico_proto::{
    Error, FieldError, Kind, access::v1::GetCartRequest, accounts::v1::GetCurrentUserRequest,
};
use portico_runtime::{Caller, Role, config::Signup};
use portico_vault::Secret;

use super::theme;
use crate::edge::{
    Edge,
    ask::Ask,
    problem::{Failure, Result},
};

/// A page that is being made: its template, what it shows, and what was wrong with the form on it.
pub(super) struct Page {
    template: &'static str,
    status: StatusCode,
    wrong: Option<Error>,
    visit: Option<HeaderValue>,
}

/// What handlers of pages return: a page or a redirect; a failure becomes the page of an error.
pub(super) type Shown = Result<Response>;

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

    /// The page again because its form was refused: with the error above it and beside its fields.
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

    /// Writes the page. `shown` is the page's own part of the context.
    pub(super) async fn show(mut self, ask: &Ask, shown: Value) -> Shown {
        let csrf_token = self.csrf_token(ask)?;
        let common = self.common(ask, csrf_token).await;
        let text = theme::templates(ask.edge())
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
        if let Some(visit) = self.visit {
            headers.append(header::SET_COOKIE, visit);
        }
        Ok(response)
    }

    async fn common(&self, ask: &Ask, csrf_token: String) -> Value {
        let (user, cart_size) = futures::join!(user(ask), cart_size(ask));
        let query = ask.uri().query().unwrap_or_default();
        let notice = url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "notice")
            .map(|(_, notice)| notice.into_owned());
        context! {
            csrf_token,
            user,
            cart_size,
            notice,
            path => ask.uri().path(),
            signup => !matches!(ask.edge().deps.config.signup, Signup::Closed),
            error => self.wrong.as_ref().map(problem),
            errors => self.wrong.as_ref().map(by_field).unwrap_or_default(),
        }
    }

    /// The token for the forms of this page: of the session, or of the visit, which begins here if need be.
    fn csrf_token(&mut self, ask: &Ask) -> Result<String> {
        let edge = ask.edge();
        if let Some(owner) = ask.session().or_else(|| ask.visit()) {
            return Ok(edge.csrf.csrf_token(owner));
        }
        let visit = Secret::new(uuid::Uuid::from_bytes(rand::random()).simple().to_string());
        self.visit = Some(edge.auth.cookies().set_visit(visit.expose())?);
        Ok(edge.csrf.csrf_token(&visit))
    }
}

/// For decisions: a request's state alone says whether one is possible, and why not is more helpful than that the
/// request was changed. Its version moves with the work in the background, too, between the page and its form.
pub(super) const ANY_VERSION: u64 = 0;

/// An error as it stands above the page: with all that was wrong where it was several things, each with the code
/// that REST and gRPC give it.
fn problem(error: &Error) -> Value {
    let message = |wrong| for_people(wrong, &words(&wrong.field));
    match error.fields.as_slice() {
        [] => context! { message => &error.message, code => &error.code },
        [wrong] => context! { message => message(wrong), code => &error.code },
        many => {
            let all: Vec<Value> = many
                .iter()
                .map(|wrong| context! { message => message(wrong), code => &wrong.code })
                .collect();
            context! { message => &error.message, code => &error.code, all }
        }
    }
}

/// What was wrong, by the name of the form's field. What is wrong with one of several values in a field, such as
/// `redirect_urls[1]`, stands at that field, too.
fn by_field(error: &Error) -> BTreeMap<String, String> {
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for wrong in &error.fields {
        let mut names = vec![wrong.field.as_str()];
        names.extend(wrong.field.split_once('[').map(|(field, _)| field));
        for name in names {
            let text = fields.entry(name.to_owned()).or_default();
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&beside_field(wrong));
        }
    }
    fields
}

/// The message in which the name of the field, which programs need, is replaced.
fn for_people(wrong: &FieldError, name: &str) -> String {
    wrong.message.replace(&format!("`{}`", wrong.field), name)
}

/// The message where the field's name is to be seen already.
fn beside_field(wrong: &FieldError) -> String {
    match wrong.message.strip_prefix(&format!("`{}`: ", wrong.field)) {
        Some(message) => capitalised(message),
        None => for_people(wrong, "It"),
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// `application.redirect_urls[0]` as `Redirect urls (1)`, `items[1].plan_id` as `Plan (2)`.
fn words(field: &str) -> String {
    let number = field
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .and_then(|(index, _)| index.parse::<usize>().ok());
    let last = field.rsplit('.').next().unwrap_or(field);
    let name = last.split('[').next().unwrap_or(last);
    let name = name.strip_suffix("_id").unwrap_or(name).replace('_', " ");
    let mut text = capitalised(&name);
    if let Some(index) = number {
        text.push_str(&format!(" ({})", index + 1));
    }
    text
}

/// Who is signed in, for the head of the page.
async fn user(ask: &Ask) -> Option<Value> {
    let Caller::User { id, role } = ask.caller() else {
        return None;
    };
    let request = ask.request(GetCurrentUserRequest {});
    let current = ask.accounts().get_current_user(request).await;
    let name = current
        .map(|user| user.into_inner().name)
        .unwrap_or_default();
    Some(context! { id => id.to_string(), name, admin => role == Role::Admin })
}

/// How many products are in the cart; nothing where it cannot be told, which is no reason not to show the page.
async fn cart_size(ask: &Ask) -> Option<usize> {
    ask.session()?;
    let request = ask.request(GetCartRequest {});
    let cart = ask.access().get_cart(request).await.ok()?;
    Some(cart.into_inner().items.len())
}

/// An error that the form's sender can mend, for the form again; any other is a failure of the page.
pub(super) fn mendable(error: impl Into<Error>) -> Result<Error> {
    let error = error.into();
    match error.kind {
        Kind::Unauthenticated | Kind::Forbidden | Kind::NotFound => Err(error.into()),
        _ => Ok(error),
    }
}

/// After a form did its work: to the page that shows it, with a word about it.
pub(super) fn done(path: &str, notice: &'static str) -> Response {
    let separator = if path.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{path}{separator}notice={notice}")).into_response()
}

/// Middleware: what went wrong becomes a page for people; programs get the problem details of [`Failure`].
/// Visitors who must sign in are taken there, and back again.
pub(in crate::edge) async fn show_failures(
    State(edge): State<Edge>,
    request: Request,
    next: Next,
) -> Response {
    if !read_by_people(request.uri().path(), request.headers()) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let asked = parts.clone();
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let failure = response.extensions_mut().remove::<Failure>();
    match failure.or_else(|| plain_refusal(&response)) {
        Some(failure) => error_page(&edge, asked, failure).await,
        None => response,
    }
}

/// Whether an answer is to be read by a person: not from the API, the probes or assets, and not to a program
/// that brings a token.
fn read_by_people(path: &str, headers: &HeaderMap) -> bool {
    let others = ["/api/", "/static/", "/healthz", "/readyz", "/metrics"];
    let accepts = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let html = |accept: &str| accept.contains("text/html") || accept.contains("*/*");
    !others.iter().any(|prefix| path.starts_with(prefix))
        && !headers.contains_key(header::AUTHORIZATION)
        && accepts.into_iter().any(html)
}

/// A refusal by the framework, such as a query that cannot be read.
fn plain_refusal(response: &Response) -> Option<Failure> {
    let status = response.status();
    let html = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    if html || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    Some(Failure::with_status(
        status,
        "request_invalid",
        "The address or form is incomplete. Go back and try again.",
    ))
}

async fn error_page(edge: &Edge, mut asked: Parts, failure: Failure) -> Response {
    let error = &failure.error;
    if error.kind == Kind::Unauthenticated {
        return to_login(&asked);
    }
    // To show an error nothing needs to be allowed; where even that does not work, to nobody.
    asked.method = Method::GET;
    let ask = match Ask::from_request_parts(&mut asked, edge).await {
        Ok(ask) => ask,
        Err(_) => {
            asked.headers.remove(header::COOKIE);
            match Ask::from_request_parts(&mut asked, edge).await {
                Ok(ask) => ask,
                Err(failure) => return failure.into_response(),
            }
        }
    };
    let (title, message) = match error.code.as_ref() {
        "path_unknown" => (
            "Page not found",
            "This page does not exist. It may have been moved or deleted.",
        ),
        _ => (error.kind.title(), error.message.as_str()),
    };
    let shown = context! { title, message, code => &error.code };
    match Page::new("error.html").show(&ask, shown).await {
        Ok(mut response) => {
            *response.status_mut() = failure.status;
            if let Some(after) = error.retry_after {
                let seconds = after.as_secs().max(1).into();
                response.headers_mut().insert(header::RETRY_AFTER, seconds);
            }
            response
        }
        Err(failure) => failure.into_response(),
    }
}

fn to_login(asked: &Parts) -> Response {
    let wanted = asked.uri.path_and_query().map_or("/", |path| path.as_str());
    if asked.method != Method::GET || wanted == "/" {
        return Redirect::to("/login").into_response();
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", wanted);
    Redirect::to(&format!("/login?{}", query.finish())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stand_at_their_fields() {
        let wrong = |field: &str, message: &str| FieldError {
            field: field.into(),
            code: "wrong".into(),
            message: message.into(),
        };
        let error = Error::fields(vec![
            wrong("name", "A."),
            wrong("redirect_urls[0]", "B."),
            wrong("redirect_urls[2]", "C."),
        ])
        .unwrap();
        let fields = by_field(&error);
        assert_eq!(fields["name"], "A.");
        assert_eq!(fields["redirect_urls"], "B. C.");
        assert_eq!(fields["redirect_urls[2]"], "C.");
    }

    #[test]
    fn names_of_fields_become_words() {
        for (field, shown) in [
            ("name", "Name"),
            ("application.redirect_urls[0]", "Redirect urls (1)"),
            ("items[1].plan_id", "Plan (2)"),
            ("client_type_id", "Client type"),
            ("", ""),
        ] {
            assert_eq!(words(field), shown);
        }
        let error = Error::field(
            "client_type_id",
            "missing",
            "`client_type_id` must be given.",
        );
        assert_eq!(by_field(&error)["client_type_id"], "It must be given.");
        let shown = problem(&error).get_attr("message").unwrap().to_string();
        assert_eq!(shown, "Client type must be given.");
        let error = Error::field("url", "wrong", "`url`: the answer is no JSON.");
        assert_eq!(by_field(&error)["url"], "The answer is no JSON.");
    }

    #[test]
    fn programs_get_problem_details() {
        let headers = |pairs: &[(&str, &str)]| -> HeaderMap {
            let pair = |(name, value): &(&str, &str)| {
                let name: http::HeaderName = name.parse().unwrap();
                (name, value.parse().unwrap())
            };
            pairs.iter().map(pair).collect()
        };
        let browser = headers(&[("accept", "text/html,*/*;q=0.8")]);
        assert!(read_by_people("/nothing", &browser));
        assert!(!read_by_people("/api/v1/nothing", &browser));
        assert!(!read_by_people(
            "/nothing",
            &headers(&[("accept", "application/json")])
        ));
        let program = headers(&[("accept", "*/*"), ("authorization", "Bearer x")]);
        assert!(!read_by_people("/nothing", &program));
    }
}
