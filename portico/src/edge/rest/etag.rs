//! ETags (RFC 9110 section 8.8.3). A tag is the version of what is shown, which a write is compared by, and a digest of
//! the whole answer: some of it may come from something else, such as the name of a client type's provider, and change
//! without a new version.

use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderName, StatusCode, header, request::Parts};
use portico_proto::{Error, Kind};
use sha2::{Digest as _, Sha256};

use crate::edge::{
    Edge,
    problem::{Failure, Result},
};

/// The tag of an answer, in quotes.
pub(super) fn of(version: u64, body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    let digest: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("\"{version}-{digest}\"")
}

/// One entry of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    pub(super) weak: bool,
    /// Between the quotes.
    pub(super) opaque: &'a str,
}

impl Tag<'_> {
    /// The version that a strong tag of ours is about. The digest does not count: a write replaces what has a version, and
    /// only that must not have changed. A bare version is taken, too.
    pub(super) fn version(self) -> Option<u64> {
        let version = self.opaque.split('-').next()?.parse().ok()?;
        (!self.weak && version > 0).then_some(version)
    }
}

/// The entries of a list (RFC 9110 section 5.6.1, which lets elements be empty). `None` where it is no list of tags. A tag
/// may hold a comma.
pub(super) fn list(text: &str) -> Option<Vec<Tag<'_>>> {
    let mut tags = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(next) = rest.strip_prefix(',') {
            rest = next.trim_start();
            continue;
        }
        let quoted = rest.strip_prefix("W/");
        let weak = quoted.is_some();
        let (opaque, next) = quoted.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        rest = next.trim_start();
        if !(rest.is_empty() || rest.starts_with(',')) {
            return None;
        }
        tags.push(Tag { weak, opaque });
    }
    Some(tags)
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
    let tags = list(&given).filter(|tags| !tags.is_empty());
    let tags = tags.ok_or_else(|| {
        let code = format!("{}_invalid", name.to_lowercase().replace('-', "_"));
        let message = format!(
            "{name} must be ETags as they were answered, each in quotes and with commas between them, or `*`."
        );
        Error::field(name, code, message)
    })?;
    let versions = tags.into_iter().filter_map(Tag::version);
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

    #[test]
    fn a_tag_changes_with_the_version_and_with_the_answer() {
        assert_eq!(of(7, b"a"), of(7, b"a"));
        assert_ne!(of(7, b"a"), of(8, b"a"));
        assert_ne!(of(7, b"a"), of(7, b"b"));
        let tag = of(7, b"a");
        assert_eq!(list(&tag).unwrap()[0].version(), Some(7));
    }

    #[test]
    fn lists_are_read_as_rfc_9110_writes_them() {
        let read = |text| {
            let tags = list(text)?.into_iter();
            Some(tags.map(|tag| (tag.weak, tag.opaque)).collect::<Vec<_>>())
        };
        assert_eq!(read("\"a\""), Some(vec![(false, "a")]));
        assert_eq!(
            read(" , \"a,b\",W/\"\" ,"),
            Some(vec![(false, "a,b"), (true, "")])
        );
        assert_eq!(read(""), Some(Vec::new()));
        for wrong in ["a", "\"a", "\"a\" \"b\"", "w/\"a\"", "\"a\"b", "*"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn versions_are_those_of_strong_tags() {
        for (opaque, version) in [
            ("7", Some(7)),
            ("7-0f", Some(7)),
            ("0", None),
            ("x-7", None),
            ("", None),
        ] {
            let tag = Tag {
                weak: false,
                opaque,
            };
            assert_eq!(tag.version(), version, "{opaque}");
            assert_eq!(Tag { weak: true, ..tag }.version(), None);
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
