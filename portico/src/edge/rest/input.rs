//! Reading a request: bodies, queries and path segments, each with errors that name what is wrong.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request, rejection::QueryRejection},
};
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header, request::Parts};
use portico_proto::{Error, Kind, null};
use portico_runtime::MAX_LIMIT;
use serde::de::DeserializeOwned;

use super::{
    super::{
        Edge,
        problem::{Failure, Result},
        request::media,
    },
    etag,
};

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
    let message = format!("`{field}` must be {}.", article(expected));
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

/// Serde names Rust types; people know JSON's, and the bounds of numbers.
fn article(expected: &str) -> &str {
    match expected {
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number from 0 to 9007199254740991",
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
    if field == "limit" && words.contains("number too large") {
        return wrong_limit().into();
    }
    // What can go wrong beside is a number that is none; the name stands before it.
    let message = format!("`{field}` must be {}.", article("u32"));
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

/// The versions that the caller expects: `If-Match`, and those that it does not want to change: `If-None-Match` (RFC 9110
/// sections 13.1.1 and 13.1.2). Any will do where it says nothing.
#[derive(Debug)]
pub(super) struct IfMatch {
    expected: Vec<u64>,
    unwanted: Tags,
}

/// What a header with tags is about.
#[derive(Debug, PartialEq, Eq)]
enum Tags {
    Absent,
    /// `*`
    Any,
    /// Versions of strong tags of our making.
    Versions(Vec<u64>),
}

impl FromRequestParts<Edge> for IfMatch {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<Self> {
        let expected = match tags(&parts.headers, &header::IF_MATCH, "If-Match")? {
            Tags::Absent | Tags::Any => Vec::new(),
            // A weak tag never matches here, nor does a tag that is not of our making.
            Tags::Versions(versions) if versions.is_empty() => return Err(mismatch()),
            Tags::Versions(versions) => versions,
        };
        let unwanted = tags(&parts.headers, &header::IF_NONE_MATCH, "If-None-Match")?;
        Ok(Self { expected, unwanted })
    }
}

fn tags(headers: &HeaderMap, header: &HeaderName, name: &str) -> Result<Tags> {
    let mut lines = headers.get_all(header).iter().peekable();
    if lines.peek().is_none() {
        return Ok(Tags::Absent);
    }
    // Several lines are one list (RFC 9110 section 5.3).
    let lines: Vec<&str> = lines.map(|line| line.to_str().unwrap_or("?")).collect();
    let given = lines.join(",");
    if given.trim() == "*" {
        return Ok(Tags::Any);
    }
    let tags = etag::list(&given).filter(|tags| !tags.is_empty());
    let tags = tags.ok_or_else(|| {
        let code = format!("{}_invalid", name.to_lowercase().replace('-', "_"));
        let message = format!(
            "{name} must be ETags as they were answered, each in quotes and with commas between them, or `*`."
        );
        Error::field(name, code, message)
    })?;
    let versions = tags.into_iter().filter_map(etag::Tag::version);
    Ok(Tags::Versions(versions.collect()))
}

fn mismatch() -> Failure {
    Error::new(
        Kind::Conflict,
        "version_mismatch",
        "It was changed meanwhile: get it again, and send its new ETag.",
    )
    .into()
}

impl IfMatch {
    /// For operations whose service takes no expected version: looks at the present one where the caller asked.
    pub(super) async fn require(self, present: impl Future<Output = Result<u64>>) -> Result<()> {
        match (self.expected.as_slice(), &self.unwanted) {
            ([], Tags::Absent) => Ok(()),
            _ => self.hold_for(present.await?),
        }
    }

    /// For what has no address of its own to look at: does it at the first of the versions that is the present one. A
    /// refusal of another version changes nothing. As there is nothing, `If-None-Match` excludes nothing.
    pub(super) async fn one_of<T, F>(self, act: impl Fn(u64) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let (last, others) = match self.expected.as_slice() {
            [] => return act(0).await,
            [others @ .., last] => (*last, others),
        };
        for version in others {
            match act(*version).await {
                Err(failure) if failure.error.code == mismatch().error.code => {}
                done => return done,
            }
        }
        act(last).await
    }

    /// The version that a service is to expect; 0 for any. A service takes one: of several it is the present one, so that
    /// a change between looking and writing is still found.
    pub(super) async fn version(self, present: impl Future<Output = Result<u64>>) -> Result<u64> {
        match (self.expected.as_slice(), &self.unwanted) {
            ([], Tags::Absent) => Ok(0),
            ([only], Tags::Absent) => Ok(*only),
            (expected, _) => {
                let present = present.await?;
                self.hold_for(present)?;
                Ok(if expected.is_empty() { 0 } else { present })
            }
        }
    }

    /// Whether both conditions are true of the present version, in the order of RFC 9110 section 13.2.2.
    fn hold_for(&self, present: u64) -> Result<()> {
        if !(self.expected.is_empty() || self.expected.contains(&present)) {
            return Err(mismatch());
        }
        match &self.unwanted {
            Tags::Any => Err(unwanted()),
            Tags::Versions(versions) if versions.contains(&present) => Err(unwanted()),
            Tags::Versions(_) | Tags::Absent => Ok(()),
        }
    }
}

fn unwanted() -> Failure {
    Failure::with_status(
        StatusCode::PRECONDITION_FAILED,
        "precondition_failed",
        "It exists, in a version that `If-None-Match` excludes.",
    )
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

    #[test]
    fn versions_are_read_from_tags() {
        let versions = |all: &[u64]| Ok(Tags::Versions(all.to_vec()));
        for (given, expected) in [
            ("*", Ok(Tags::Any)),
            ("\"7\"", versions(&[7])),
            ("\"7-0f\"", versions(&[7])),
            ("\"1\", \"2\"", versions(&[1, 2])),
            ("\"1\",,W/\"2\" , \"x\"", versions(&[1])),
            ("W/\"7\"", versions(&[])),
            ("\"0\"", versions(&[])),
            ("\"abc\"", versions(&[])),
            ("7", Err("if_match_invalid")),
            ("\"1\" \"2\"", Err("if_match_invalid")),
            ("*, \"1\"", Err("if_match_invalid")),
            ("", Err("if_match_invalid")),
        ] {
            let headers = [(header::IF_MATCH, given.parse().unwrap())];
            let headers: HeaderMap = headers.into_iter().collect();
            let found = tags(&headers, &header::IF_MATCH, "If-Match")
                .map_err(|failure| failure.error.code.into_owned());
            assert_eq!(found, expected.map_err(str::to_owned), "{given}");
        }
    }

    #[test]
    fn no_header_is_no_condition() {
        let found = tags(&HeaderMap::new(), &header::IF_NONE_MATCH, "If-None-Match");
        assert_eq!(found.unwrap(), Tags::Absent);
    }
}
