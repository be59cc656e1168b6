//! ETags (RFC 9110 section 8.8.3). A tag is the version of what is shown, which a write is compared by, and a digest of
//! the whole answer: some of it may come from something else, such as the name of a client type's provider, and change
//! without a new version.

use sha2::{Digest as _, Sha256};

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
}
