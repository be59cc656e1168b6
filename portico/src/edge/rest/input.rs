//! Reading a request: bodies, queries and path segments, each with errors that name what is wrong.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request, rejection::QueryRejection},
};
use http::{Method, StatusCode, Uri, request::Parts};
use portico_proto::{
    Error, Kind, null,
    rest::{self, LARGEST_NUMBER},
};
use portico_runtime::MAX_LIMIT;
use serde::de::DeserializeOwned;

use super::super::{
    Edge,
    problem::{Failure, Result},
    request::media,
};
pub(super) use super::etag::IfMatch;

/// A JSON body. Members that the type does not know are refused: a misspelt one must not be lost in silence.
pub(super) struct Body<T>(pub(super) T);

/// As [`Body`], but the body may be missing.
pub(super) struct OptionalBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Edge> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, edge: &Edge) -> Result<Self> {
        require_json(&request)?;
        parse(&bytes(request, edge).await?).map(Self)
    }
}

impl<T: DeserializeOwned + Default> FromRequest<Edge> for OptionalBody<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, edge: &Edge) -> Result<Self> {
        let json = require_json(&request);
        let bytes = bytes(request, edge).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        json?;
        parse(&bytes).map(Self)
    }
}

async fn bytes(request: Request, edge: &Edge) -> Result<Bytes> {
    Bytes::from_request(request, edge)
        .await
        .map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                return Failure::with_status(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "body_too_large",
                    "The body must not be larger than 1 MiB.",
                );
            }
            Error::new(
                Kind::Invalid,
                "body_unreadable",
                "The body ended before it was complete.",
            )
            .into()
        })
}

/// JSON as it is and in UTF-8, its only encoding (RFC 8259 section 8.1). A change may say that it is a merge patch (RFC
/// 7396), which it is; another patch format would be taken for something else (RFC 5789 section 2.2).
fn require_json(request: &Request) -> Result<()> {
    let (types, right): (&[&str], _) = match *request.method() {
        Method::PATCH => (
            &["application/json", "application/merge-patch+json"],
            "The body must be a JSON merge patch, with the header `Content-Type: application/merge-patch+json` or \
             `application/json`.",
        ),
        _ => (
            &["application/json"],
            "The body must be JSON, with the header `Content-Type: application/json`.",
        ),
    };
    media::require(request.headers(), types, right)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    refuse_null_characters(bytes)?;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        match inner.classify() {
            serde_json::error::Category::Data => wrong_member(&path, &inner.to_string()),
            // It is JSON all the same.
            _ if inner.to_string().starts_with("number out of range") => {
                let message = format!("`{path}` is too large for a number.");
                Error::field(path, "field_type_wrong", message).into()
            }
            _ => malformed(&inner),
        }
    })?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

/// JSON has U+0000 in escaped form only (RFC 8259 section 7).
fn refuse_null_characters(bytes: &[u8]) -> Result<()> {
    if !bytes.windows(6).any(|six| six == br"\u0000") {
        return Ok(());
    }
    // What is no JSON is refused by its reader.
    let document = serde_json::from_slice(bytes).unwrap_or_default();
    match null::in_json(&document) {
        Some(path) if path.is_empty() => Err(Error::null_character("body").into()),
        Some(path) => Err(Error::null_character(path).into()),
        None => Ok(()),
    }
}

fn malformed(error: &serde_json::Error) -> Failure {
    Error::new(
        Kind::Invalid,
        "json_malformed",
        format!(
            "The body is no JSON: look at line {}, column {}.",
            error.line(),
            error.column()
        ),
    )
    .into()
}

/// Serde's words about a value, without the value itself, which may be a secret.
fn wrong_member(path: &str, message: &str) -> Failure {
    let path = if path == "." { "" } else { path };
    if let Some(name) = quoted(message, "unknown field `") {
        return unknown(&join(path, name), message).into();
    }
    if let Some(name) = quoted(message, "missing field `") {
        let field = join(path, name);
        let message = format!("`{field}` is needed.");
        return Error::field(field, "field_missing", message).into();
    }
    if let Some(name) = quoted(message, "duplicate field `") {
        let field = join(path, name);
        let message = format!("`{field}` must be given only once.");
        return Error::field(field, "field_duplicate", message).into();
    }
    if let Some(name) = quoted(message, "ambiguous field `") {
        let field = join(path, name);
        let message = format!("`{field}` cannot be given together with its alternative.");
        return Error::field(field, "field_ambiguous", message).into();
    }
    if message.starts_with(UNKNOWN_WORD) {
        return wrong_word(path, "invalid", expected(message)).into();
    }
    if let Some(name) = quoted(message, "empty field `") {
        return wrong_word(&join(path, name), "missing", expected(message)).into();
    }
    let expected = match expected(message) {
        "" => "of another type",
        expected => expected,
    };
    let field = if path.is_empty() { "body" } else { path };
    let right = match expected {
        "u32" => whole_number(field, u32::MAX.into()),
        "u64" => whole_number(field, LARGEST_NUMBER),
        other => article(other).to_owned(),
    };
    let message = format!("`{field}` must be {right}.");
    Error::field(field, "field_type_wrong", message).into()
}

/// How the contract's messages say that an enum has no such word.
const UNKNOWN_WORD: &str = "unknown word, expected ";

/// What serde expected.
fn expected(message: &str) -> &str {
    let (_, expected) = message.rsplit_once("expected ").unwrap_or_default();
    expected.split(" at line ").next().unwrap_or(expected)
}

/// No word, or none of this enum's. The code is the field's, as a service gives it.
fn wrong_word(path: &str, how: &str, words: &str) -> Error {
    let name = path.rsplit('.').next().unwrap_or(path);
    let name = name.split('[').next().unwrap_or(name);
    Error::field(
        path,
        format!("{name}_{how}"),
        format!("`{path}` must be {words}."),
    )
}

fn unknown(field: &str, message: &str) -> Error {
    let hint = match expected(message) {
        "" => String::new(),
        known => format!(" Known here: {}.", known.trim_start_matches("one of ")),
    };
    Error::field(
        field,
        "field_unknown",
        format!("There is no `{field}` here.{hint}"),
    )
}

/// The bounds of a number, which its type may narrow.
fn whole_number(field: &str, most: u64) -> String {
    let bounds = rest::bounds(field);
    let (least, most) = (bounds.start(), bounds.end().min(&most));
    format!("a whole number from {least} to {most}")
}

/// Serde names Rust types; people know JSON's, and the bounds of numbers.
fn article(expected: &str) -> &str {
    match expected {
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i64" => "a whole number from -9007199254740991 to 9007199254740991",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "struct" | "a map" | "map" => "an object",
        "a sequence" => "an array",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

fn quoted<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    message.split_once(before)?.1.split('`').next()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() || path == name {
        return name.to_owned();
    }
    if path.ends_with(&format!(".{name}")) {
        return path.to_owned();
    }
    format!("{path}.{name}")
}

/// The query of a list. Parameters that it does not know are refused: a misspelt filter must not show everything.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Edge> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<Self> {
        Self::of(&parts.uri)
    }
}

impl<T: DeserializeOwned> Query<T> {
    /// Of an address, for a handler that need not always read it.
    pub(super) fn of(uri: &Uri) -> Result<Self> {
        match axum::extract::Query::try_from_uri(uri) {
            // To the services 0 means that nothing was said.
            Ok(_) if limit_is_zero(uri.query().unwrap_or_default()) => Err(wrong_limit().into()),
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(wrong_query(&rejection)),
        }
    }
}

fn limit_is_zero(query: &str) -> bool {
    url::form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| name == "limit" && value.parse() == Ok(0_u32))
}

fn wrong_query(rejection: &QueryRejection) -> Failure {
    let text = rejection.body_text();
    let words = text
        .split_once("query string: ")
        .map_or(text.as_str(), |(_, words)| words);
    if let Some(name) = quoted(words, "unknown field `") {
        return unknown(name, words).into();
    }
    if let Some(name) = quoted(words, "duplicate field `") {
        let message = format!("`{name}` must be given only once.");
        return Error::field(name, "field_duplicate", message).into();
    }
    let field = words.split(':').next().unwrap_or("query").to_owned();
    if words.contains(UNKNOWN_WORD) {
        return wrong_word(&field, "invalid", expected(words)).into();
    }
    if field == "limit" {
        return wrong_limit().into();
    }
    // What can go wrong beside is a truth value or a number that is none; the name stands before it.
    let right = match words.contains("`true` or `false`") {
        true => article("a boolean").to_owned(),
        false => whole_number(&field, u32::MAX.into()),
    };
    let message = format!("`{field}` must be {right}.");
    Error::field(field, "field_type_wrong", message).into()
}

fn wrong_limit() -> Error {
    let right = format!("`limit` must be 1 to {MAX_LIMIT}.");
    Error::field("limit", "limit_invalid", right)
}

/// The id (or name) in a path.
pub(super) struct Id(pub(super) String);

impl FromRequestParts<Edge> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self> {
        match Path::<String>::from_request_parts(parts, edge).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(Error::not_found("thing").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Outer {
        #[serde(default)]
        name: String,
        inner: Inner,
        #[serde(default)]
        list: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Inner {
        #[serde(default)]
        count: u32,
    }

    #[test]
    fn what_is_wrong_with_a_body_is_named() {
        for (body, code, field) in [
            (r#"{"inner":{},"colour":1}"#, "field_unknown", "colour"),
            (r#"{"inner":{"colour":1}}"#, "field_unknown", "inner.colour"),
            (
                r#"{"inner":{},"list":[{},{"colour":1}]}"#,
                "field_unknown",
                "list[1].colour",
            ),
            (
                r#"{"inner":{"count":"canary"}}"#,
                "field_type_wrong",
                "inner.count",
            ),
            (
                r#"{"inner":{"count":-1}}"#,
                "field_type_wrong",
                "inner.count",
            ),
            (
                r#"{"inner":{"count":1e400}}"#,
                "field_type_wrong",
                "inner.count",
            ),
            (
                r#"{"name":["canary"],"inner":{}}"#,
                "field_type_wrong",
                "name",
            ),
            (r#"{"inner":7}"#, "field_type_wrong", "inner"),
            (r#"{}"#, "field_missing", "inner"),
            (
                r#"{"inner":{},"name":"a","name":"b"}"#,
                "field_duplicate",
                "name",
            ),
            ("7", "field_type_wrong", "body"),
            (
                r#"{"name":"a\u0000b","inner":{}}"#,
                "null_character",
                "name",
            ),
            (
                r#"{"list":[{},{"x":["\u0000"]}]}"#,
                "null_character",
                "list[1].x[0]",
            ),
            (r#"{"inner":{"\u0000":1}}"#, "null_character", "inner"),
            (r#"{"\u0000":1}"#, "null_character", "body"),
            (
                r#"{"inner":{},"name":7,"x":"\\u0000"}"#,
                "field_type_wrong",
                "name",
            ),
        ] {
            let failure = parse::<Outer>(body.as_bytes()).unwrap_err();
            assert_eq!(failure.error.code, code, "{body}");
            assert_eq!(failure.error.fields[0].field, field, "{body}");
            assert!(
                !failure.error.message.contains("canary"),
                "{}",
                failure.error.message
            );
        }
        for body in [
            "",
            "{",
            "{\"inner\":{}} x",
            "nonsense",
            "\u{feff}{}",
            "{\"name\":\"\0\",\"inner\":{}}",
            r#"{"name":"\u0000""#,
        ] {
            assert_eq!(
                parse::<Outer>(body.as_bytes()).unwrap_err().error.code,
                "json_malformed",
                "{body}"
            );
        }
    }
}
