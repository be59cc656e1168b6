//! What a body is made of: its media type, its charset and its content encodings. What is not understood is refused with
//! 415 (RFC 9110 section 15.5.16) before it is read, so that nobody takes it for something else.

use http::{HeaderMap, StatusCode, header};

use super::only_line;
use crate::edge::problem::{Failure, Result};

/// Requires a body of one of these media types, sent as it is and in UTF-8.
///
/// # Errors
/// `header_duplicate`, `content_encoding_unsupported`, `content_type_unsupported` with what is `right`,
/// `charset_unsupported`.
pub(in crate::edge) fn require(
    headers: &HeaderMap,
    types: &[&str],
    right: &'static str,
) -> Result<()> {
    require_plain(headers)?;
    let (essence, charset) = content_type(headers)?;
    match types.contains(&essence.as_str()) {
        true => require_utf8(&charset),
        false => Err(unsupported("content_type_unsupported", right)),
    }
}

/// Media type and charset of a body, in lower case; empty where they are not said.
fn content_type(headers: &HeaderMap) -> Result<(String, String)> {
    let text = only_line(headers, "Content-Type")?
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_owned();
    let charset = parts.find_map(|part| part.strip_prefix("charset="));
    // RFC 9110 section 5.6.6: a value may stand in quotes.
    let charset = charset.unwrap_or_default().trim_matches('"').to_owned();
    Ok((essence, charset))
}

/// Requires a body that is sent as it is: whatever is compressed is refused.
///
/// # Errors
/// `content_encoding_unsupported`.
fn require_plain(headers: &HeaderMap) -> Result<()> {
    let encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let mut encodings = encodings.flat_map(|line| line.to_str().unwrap_or("?").split(','));
    let is_plain = |one: &str| {
        let one = one.trim();
        one.is_empty() || one.eq_ignore_ascii_case("identity")
    };
    match encodings.all(is_plain) {
        true => Ok(()),
        false => Err(unsupported(
            "content_encoding_unsupported",
            "The body must be sent as it is, without the header `Content-Encoding`.",
        )),
    }
}

/// Requires UTF-8, or no charset at all.
///
/// # Errors
/// `charset_unsupported`.
fn require_utf8(charset: &str) -> Result<()> {
    match charset {
        // ASCII is a part of it.
        "" | "utf-8" | "utf8" | "us-ascii" => Ok(()),
        _ => Err(unsupported(
            "charset_unsupported",
            "The body must be in UTF-8; leave `charset` out of the header `Content-Type`, or say `utf-8`.",
        )),
    }
}

/// A body of a sort that is not understood.
fn unsupported(code: &'static str, right: &'static str) -> Failure {
    Failure::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: http::HeaderName, values: &[&str]) -> HeaderMap {
        let values = values
            .iter()
            .map(|value| (name.clone(), value.parse().unwrap()));
        values.collect()
    }

    #[test]
    fn charsets_are_read_in_every_spelling() {
        for (given, essence, charset) in [
            ("application/json", "application/json", ""),
            (
                "Application/JSON; Charset=UTF-8",
                "application/json",
                "utf-8",
            ),
            ("text/plain;a=b; charset=\"utf-16\"", "text/plain", "utf-16"),
            ("", "", ""),
        ] {
            let found = content_type(&headers(header::CONTENT_TYPE, &[given])).unwrap();
            assert_eq!(found, (essence.to_owned(), charset.to_owned()), "{given}");
        }
        for (charset, right) in [
            ("", true),
            ("utf-8", true),
            ("utf-16", false),
            ("latin1", false),
        ] {
            assert_eq!(require_utf8(charset).is_ok(), right, "{charset}");
        }
    }

    #[test]
    fn every_encoding_is_looked_at() {
        for (values, right) in [
            (&[][..], true),
            (&["identity"], true),
            (&["Identity, "], true),
            (&["gzip"], false),
            (&["identity, br"], false),
            (&["identity", "zstd"], false),
        ] {
            let found = require_plain(&headers(header::CONTENT_ENCODING, values));
            assert_eq!(found.is_ok(), right, "{values:?}");
        }
    }
}
