//! Secrets that were sent to another program or came from it, found again in what it says.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use memchr::memmem;
use portico_vault::Secret;

use super::reading::{Reading, percent_decoded, unescaped};
use super::words::{REDACTED, one_line};

/// Shorter values are no secrets: they would be found in every sentence.
const SHORTEST: usize = 4;
/// Bytes from which on a value is looked for within words, and in base64; a shorter one as a word of its own only.
const WITHIN_WORDS: usize = 8;
/// Bytes of a text that are looked at; the rest is dropped.
const READ: usize = 64 * 1024;
/// Values that are looked for; an honest program has a few.
const MOST: usize = 32;

/// Values that nobody may be told. `Debug` shows none of them. Of more than can be looked for, every text may hold one.
#[derive(Debug, Clone, Default)]
pub struct KnownSecrets {
    values: Vec<Secret>,
    too_many: bool,
}

impl KnownSecrets {
    /// These values; what is too short to be a secret is left out.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let values = values.into_iter().map(one_line);
        let long_enough = values.filter(|value| value.len() >= SHORTEST);
        let mut values: Vec<_> = long_enough.take(MOST + 1).map(Secret::new).collect();
        let too_many = values.len() > MOST;
        values.truncate(MOST);
        Self { values, too_many }
    }

    /// The password in a URL (RFC 3986 section 3.2.1), as it is and as it stands there.
    #[must_use]
    pub fn of_url(url: &Secret) -> Self {
        let url = url::Url::parse(url.expose()).ok();
        let Some(encoded) = url.as_ref().and_then(url::Url::password) else {
            return Self::default();
        };
        Self::new([encoded, &percent_decoded(encoded)])
    }

    /// Whether one of them is in the text: as it is, in any case of letters, as in a form, in hexadecimal digits, or in
    /// base64 of either alphabet, also as a part of what was encoded (RFC 7617); and each of them percent-encoded, escaped
    /// as in JSON, HTML or quoted-printable, a few times over, with characters in it that cannot be seen.
    #[must_use]
    pub fn are_in(&self, text: &str) -> bool {
        self.too_many || !self.found_in(&one_line(text)).is_empty()
    }

    /// The text, a fixed word in place of each of them.
    #[must_use]
    pub fn hidden_in(&self, text: &str) -> String {
        if self.too_many {
            return REDACTED.to_owned();
        }
        let text = &text[..text.floor_char_boundary(READ)];
        let (mut hidden, mut at) = (String::new(), 0);
        for found in self.found_in(text) {
            hidden.push_str(text.get(at..found.start).unwrap_or_default());
            hidden.push_str(REDACTED);
            at = found.end;
        }
        hidden.push_str(text.get(at..).unwrap_or_default());
        hidden
    }

    /// In order, without overlaps. In time that grows with the text, not with what stands in it.
    fn found_in(&self, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        if self.values.is_empty() {
            return found;
        }
        // The shortest form is without escapes, of three characters each.
        let short_enough = |secret: &&Secret| secret.expose().len() <= 3 * text.len();
        let values = self.values.iter().filter(short_enough);
        let forms = values.flat_map(|secret| forms(secret.expose()));
        let forms: BTreeSet<String> = forms.filter(|form| form.len() >= SHORTEST).collect();
        for Reading { bytes, places } in Reading::all(text) {
            let place = |range: Range<usize>| places[range.start]..places[range.end];
            let (lower, standard) = (bytes.to_ascii_lowercase(), in_standard_alphabet(&bytes));
            for form in &forms {
                found.extend(plain(&lower, form).into_iter().map(place));
                found.extend(in_base64(&standard, form).into_iter().map(place));
            }
        }
        found.sort_by_key(|range| range.start);
        found.dedup_by(|next, before| {
            let overlaps = next.start < before.end;
            if overlaps {
                before.end = before.end.max(next.end);
            }
            overlaps
        });
        found
    }
}

/// What of a secret may stand in a text: itself, as in a form (RFC 6749 section 2.3.1 has it so within Basic), in
/// hexadecimal digits, and without escapes, for it may look as if it had some.
fn forms(secret: &str) -> [String; 4] {
    let form = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let hexadecimal = secret.bytes().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    });
    [secret.to_owned(), form, hexadecimal, unescaped(secret)]
}

/// `lower`: in lower case.
fn plain(lower: &[u8], secret: &str) -> Vec<Range<usize>> {
    let length = secret.len();
    let secret = secret.to_ascii_lowercase();
    let ends_a_word = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
    memmem::find_iter(lower, &secret)
        .map(|at| at..at + length)
        .filter(|range| {
            let before = range.start.checked_sub(1).and_then(|at| lower.get(at));
            length >= WITHIN_WORDS || (ends_a_word(before) && ends_a_word(lower.get(range.end)))
        })
        .collect()
}

/// Whole runs of base64 that encode the secret, perhaps with something before and after it: what these have no part in
/// is the same wherever the secret begins in a group of three bytes.
fn in_base64(standard: &[u8], secret: &str) -> Vec<Range<usize>> {
    if secret.len() < WITHIN_WORDS {
        return Vec::new();
    }
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    let mut found: Vec<Range<usize>> = Vec::new();
    for before in 0..3 {
        let padded = [&[0_u8; 2][..before.min(2)], secret.as_bytes()].concat();
        let encoded = BASE64_STANDARD_NO_PAD.encode(&padded);
        // The first characters hold bits of what stands before the secret, the last one of what follows it.
        let first = (before * 8).div_ceil(6);
        let last = padded.len() * 8 / 6;
        let Some(core) = encoded.as_bytes().get(first..last) else {
            continue;
        };
        let mut run_end = 0;
        for at in memmem::find_iter(standard, core) {
            if at < run_end {
                continue;
            }
            let start = standard[..at].iter().rposition(|byte| !is_base64(byte));
            let length = standard[at..].iter().position(|byte| !is_base64(byte));
            let end = length.map_or(standard.len(), |length| at + length);
            run_end = end;
            found.push(start.map_or(0, |start| start + 1)..end);
        }
    }
    found
}

/// RFC 4648 section 5.
fn in_standard_alphabet(bytes: &[u8]) -> Vec<u8> {
    let standard = |byte: &u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    };
    bytes.iter().map(standard).collect()
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

    use super::*;

    const SECRET: &str = "q7/Z+k=w\"9~xV?1#bT&m ü";

    fn hidden(text: &str) -> String {
        KnownSecrets::new([SECRET]).hidden_in(text)
    }

    #[test]
    fn a_secret_is_found_in_every_form() {
        let form: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        let all: String = SECRET.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let units = SECRET.encode_utf16();
        let unicode: String = units.map(|unit| format!("\\u{unit:04X}")).collect();
        let json = serde_json::to_string(SECRET).unwrap();
        let json = json.trim_matches('"');
        let hexadecimal: Vec<String> = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
        let entities = SECRET
            .replace('&', "&amp;")
            .replace('"', "&quot;")
            .replace('+', "&plus;");
        let numbers: String = SECRET
            .chars()
            .map(|c| format!("&#x{:x};", u32::from(c)))
            .collect();
        for quoted in [
            SECRET,
            &SECRET.to_ascii_uppercase(),
            &form.replace('+', "%20"),
            &all,
            json,
            &json.replace('/', "\\/"),
            &unicode,
            &BASE64_STANDARD.encode(SECRET),
            &BASE64_URL_SAFE_NO_PAD.encode(SECRET),
            &BASE64_STANDARD.encode(format!("client:{SECRET}")),
            &BASE64_STANDARD.encode(format!("a:{SECRET}\n")),
            &BASE64_URL_SAFE_NO_PAD.encode(format!("ab{SECRET} and more")),
            &form,
            &BASE64_STANDARD.encode(format!("client:{form}")),
            &hexadecimal.join(""),
            &hexadecimal.join("").to_ascii_uppercase(),
            &format!("\\x{}", hexadecimal.join("\\x")),
            &format!("={}", hexadecimal.join("=")),
            &all.replace('%', "%25"),
            &all.replace('%', "%2525"),
            &all.replace('%', "&percnt;"),
            &entities,
            &numbers,
            &numbers.replace('&', "&amp;"),
            &json.replace('\\', "&#92;"),
            &SECRET
                .replace('Z', "Z\u{200b}")
                .replace('x', "\u{ad}x\u{2060}"),
            &SECRET.replace('Z', "Z&#8203;"),
        ] {
            let text = hidden(&format!("you sent <{quoted}>, which is old"));
            assert_eq!(text, "you sent <[redacted]>, which is old", "{quoted}");
        }
        let twice = hidden(&format!("{SECRET}{SECRET} {SECRET}"));
        assert!(!twice.contains("q7"), "{twice}");
    }

    /// What looks like an escape may be the secret itself.
    #[test]
    fn a_secret_that_looks_escaped_is_found_as_it_is_and_in_json() {
        let secret = "a%2Fb&amp;c\\\"=41d";
        let secrets = KnownSecrets::new([secret]);
        let json = serde_json::to_string(secret).unwrap();
        for text in [secret, json.trim_matches('"'), &secret.replace('%', "%25")] {
            assert_eq!(secrets.hidden_in(&format!("<{text}>")), "<[redacted]>");
        }
    }

    #[test]
    fn the_password_of_a_url_is_known_as_it_is_sent() {
        let url = Secret::new("smtps://portal:p%40ss-word%21@mail.example:465");
        let reply = format!(
            "535 {} and p@ss-word! refused",
            BASE64_STANDARD.encode("\0portal\0p@ss-word!")
        );
        let hidden = KnownSecrets::of_url(&url).hidden_in(&reply);
        assert_eq!(hidden, "535 [redacted] and [redacted] refused");
        let without = KnownSecrets::of_url(&Secret::new("smtp://localhost"));
        assert_eq!(without.hidden_in(&reply), reply);
    }

    /// Each a prefix of the text, so that a search that begins anew everywhere would go on for hours.
    #[test]
    fn many_long_secrets_and_a_long_text_are_no_trouble() {
        let text = "a".repeat(256 << 10);
        let value = |length: usize| format!("{}b", "a".repeat(length));
        let values: Vec<String> = (0..MOST).map(|n| value(8000 + n)).collect();
        let secrets = KnownSecrets::new(values.iter().map(String::as_str));
        assert!(!secrets.are_in(&text));
        assert!(secrets.are_in(&format!("{text}b")));
        let runs = KnownSecrets::new(["AAAAAAAAAAAA"]);
        assert!(runs.are_in(&text));
        assert!(!runs.hidden_in(&text).contains("aaaaaaaaaaaa"));
    }

    #[test]
    fn of_too_many_secrets_every_text_may_hold_one() {
        let values: Vec<String> = (0..=MOST).map(|n| format!("secret-{n}")).collect();
        let secrets = KnownSecrets::new(values.iter().map(String::as_str));
        assert!(secrets.are_in("harmless"));
        assert_eq!(secrets.hidden_in("harmless"), REDACTED);
        let fewer = KnownSecrets::new(values.iter().skip(1).map(String::as_str));
        assert!(!fewer.are_in("harmless"));
    }

    #[test]
    fn other_texts_stay() {
        let secrets = KnownSecrets::new(["abc", "word", "", SECRET]);
        for text in ["", "abc", "words in a sentence", "ä%zz\\q%4", "q7/Z+k=w"] {
            assert_eq!(secrets.hidden_in(text), text);
            assert!(!secrets.are_in(text));
        }
        assert_eq!(
            secrets.hidden_in("the word is: word"),
            "the [redacted] is: [redacted]"
        );
        assert!(!format!("{secrets:?}").contains("word"));
    }
}
