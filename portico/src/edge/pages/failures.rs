//! The error page.

use axum::{
    extract::{FromRequestParts as _, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Redirect, Response},
};
use http::{HeaderMap, Method, header, request::Parts};
use minijinja::context;
use portico_proto::Kind;

use super::{field_errors::sentence, page::render};
use crate::edge::{
    Edge,
    problem::{Failure, retry_after},
    request::RequestContext,
};

/// Middleware: a failure becomes a page for people; programs get the problem details of [`Failure`]. Visitors who must
/// sign in are redirected there, and back afterwards.
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

/// Whether a person will read the response: not for the API, probes or assets, and not for a program with a token.
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

/// An error response of the framework, such as for a query that cannot be parsed.
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
    // Rendering needs a caller: the request's own as for a GET, or an anonymous one where its credential is refused.
    asked.method = Method::GET;
    let ctx = match RequestContext::from_request_parts(&mut asked, edge).await {
        Ok(ctx) => ctx,
        Err(_) => {
            asked.headers.remove(header::COOKIE);
            match RequestContext::from_request_parts(&mut asked, edge).await {
                Ok(ctx) => ctx,
                Err(failure) => return failure.into_response(),
            }
        }
    };
    let (title, message) = match error.code.as_ref() {
        "path_unknown" => (
            "Page not found",
            "This page does not exist. It may have been moved or deleted.".to_owned(),
        ),
        _ => (error.kind.title(), sentence(error)),
    };
    let shown = context! { title, message, code => &error.code };
    match render(&ctx, "error.html", shown, None).await {
        Ok(mut response) => {
            *response.status_mut() = failure.status;
            retry_after(error, response.headers_mut());
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
