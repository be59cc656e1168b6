//! Errors as problem details (RFC 9457), wherever they arise.
//!
//! A handler returns a [`Failure`]; the middleware [`finish`] writes it with the id of the request.

use axum::{
    Json,
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use portico_proto::{Error, Kind};
use portico_runtime::REQUEST_ID;

/// Result of a handler; a failure becomes a problem document or an error page.
pub type Result<T> = std::result::Result<T, Failure>;

/// Media type of RFC 9457 section 3.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// An error to be sent. It is in the response's extensions until [`finish`] writes it, so that pages can render it in
/// their own way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// As the service or the edge refused.
    pub error: Error,
    /// The error's own status, except for those that only HTTP has: 405, 413, 415.
    pub status: StatusCode,
}

impl Failure {
    /// An error whose status only HTTP has.
    pub fn with_status(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let kind = match status {
            StatusCode::NOT_FOUND => Kind::NotFound,
            _ => Kind::Invalid,
        };
        Self {
            error: Error::new(kind, code, message),
            status,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = error.http_status();
        Self { error, status }
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        Error::from(status).into()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes a [`Failure`] as problem details. It must be inside the layer that gives requests their ids.
pub async fn finish(request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).cloned();
    let mut response = next.run(request).await;
    let Some(failure) = response.extensions_mut().remove::<Failure>() else {
        return response;
    };
    let instance = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or("");
    write(&failure, instance, &response)
}

fn write(failure: &Failure, instance: &str, bare: &Response) -> Response {
    let mut problem = failure.error.problem(instance);
    problem.status = failure.status.as_u16();
    let mut response = (failure.status, Json(problem)).into_response();
    let headers = response.headers_mut();
    // `Allow` of a 405, and the like.
    for (name, value) in bare.headers() {
        if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
            headers.append(name, value.clone());
        }
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if failure.status == StatusCode::UNAUTHORIZED {
        // RFC 9110 section 11.6.1: a 401 names a way to sign in.
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"portico\""),
        );
    }
    retry_after(&failure.error, headers);
    response
}

/// Sets `Retry-After` (RFC 9110 section 10.2.3), in whole seconds and not earlier than the error says.
pub(crate) fn retry_after(error: &Error, headers: &mut HeaderMap) {
    if let Some(after) = error.retry_after {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, seconds.max(1).into());
    }
}

/// The fallback for unknown paths.
pub async fn no_such_path() -> Failure {
    Failure::with_status(
        StatusCode::NOT_FOUND,
        "path_unknown",
        "No such endpoint. The API is described at /api/v1/openapi.json.",
    )
}

/// The fallback for methods that a path does not have; `Allow` lists those it has.
pub async fn no_such_method() -> Failure {
    Failure::with_status(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This endpoint does not support this method. The Allow header lists the supported ones.",
    )
}

/// The response after a panic, whose message is in the log.
pub fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a request handler panicked");
    Failure::from(Error::internal()).into_response()
}
