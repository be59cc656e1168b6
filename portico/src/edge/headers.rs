//! Security headers of every response.

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// For pages: only resources that we serve, nothing inline, never in a frame.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// For everything else, which is data.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Whether people reach the portal by https.
#[derive(Debug, Clone, Copy)]
pub(super) struct Https(pub(super) bool);

/// Adds the headers that a handler has not set.
pub(super) fn secure(Https(https): Https, mut response: Response) -> Response {
    let headers = response.headers_mut();
    let page = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| text.starts_with("text/html"));
    add(
        headers,
        header::CONTENT_SECURITY_POLICY,
        if page { PAGE_POLICY } else { DATA_POLICY },
    );
    add(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    add(headers, header::X_FRAME_OPTIONS, "DENY");
    // Not `no-referrer`: browsers would then send `Origin: null` with our own forms.
    add(headers, header::REFERRER_POLICY, "same-origin");
    add(
        headers,
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    add(
        headers,
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    if https {
        add(
            headers,
            header::STRICT_TRANSPORT_SECURITY,
            "max-age=31536000; includeSubDomains",
        );
    }
    response
}

fn add(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers
        .entry(name)
        .or_insert(HeaderValue::from_static(value));
}
