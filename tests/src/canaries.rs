//! Secrets and personal data that must stand nowhere, and all the ways in which they could be written there.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::Path,
};

use base64::{
    Engine as _,
    engine::{
        GeneralPurpose,
        general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
    },
};
use url::form_urlencoded::byte_serialize;

/// Bytes that a value must have: shorter ones stand somewhere by chance.
const SHORTEST: usize = 8;

/// Values to look for.
#[derive(Debug, Clone, Default)]
pub struct Canaries {
    forms: Vec<Form>,
    /// The first two bytes of each form, so that most places are passed over at once.
    beginnings: HashSet<[u8; 2]>,
}

/// One way of writing a value.
#[derive(Debug, Clone)]
struct Form {
    /// What it is, and how it is written; never the value.
    name: String,
    bytes: Vec<u8>,
}

impl Canaries {
    /// Looks for a value, too.
    ///
    /// # Panics
    /// It is too short to be looked for.
    pub fn add(&mut self, name: &str, value: &str) {
        assert!(value.len() >= SHORTEST, "{name} is too short");
        let json = serde_json::to_string(value).expect("text is JSON");
        let json = json.trim_matches('"').to_owned();
        let json_in_json = serde_json::to_string(&json).expect("text is JSON");
        for (form, text) in [
            ("plain", value.to_owned()),
            ("in a form", byte_serialize(value.as_bytes()).collect()),
            ("in a URL", percent_encoded(value)),
            ("in JSON", json.clone()),
            ("in JSON, ASCII only", ascii_only(&json)),
            (
                "in JSON within JSON",
                json_in_json.trim_matches('"').to_owned(),
            ),
            ("in hexadecimal", hexadecimal(value)),
        ] {
            self.look_for(name, form, text.into_bytes());
        }
        for (alphabet, engine) in [("base64", STANDARD_NO_PAD), ("base64url", URL_SAFE_NO_PAD)] {
            for before in 0..3 {
                let form = format!("in {alphabet} after {before} bytes");
                self.look_for(name, &form, within_base64(&engine, value, before));
            }
        }
    }

    fn look_for(&mut self, name: &str, form: &str, bytes: Vec<u8>) {
        if !self.forms.iter().any(|known| known.bytes == bytes) {
            self.beginnings.insert([bytes[0], bytes[1]]);
            let name = format!("{name}, {form}");
            self.forms.push(Form { name, bytes });
        }
    }

    /// What stands in there, and how.
    #[must_use]
    pub fn found_in(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let mut begins = vec![false; 1 << 16];
        for [first, second] in &self.beginnings {
            begins[usize::from(u16::from_be_bytes([*first, *second]))] = true;
        }
        let mut found = BTreeSet::new();
        for (at, pair) in bytes.windows(2).enumerate() {
            if begins[usize::from(u16::from_be_bytes([pair[0], pair[1]]))] {
                let rest = &bytes[at..];
                let here = self
                    .forms
                    .iter()
                    .filter(|form| rest.starts_with(&form.bytes));
                found.extend(here.map(|form| form.name.as_str()));
            }
        }
        found
    }

    /// # Panics
    /// Something is found. What it is and where, without its value, is said.
    pub fn assert_absent(&self, place: &str, bytes: &[u8]) {
        let found = self.found_in(bytes);
        assert!(found.is_empty(), "{place} holds {found:?}");
    }

    /// Every file of a folder as it is on the disk: write-ahead logs and deleted pages, too. Gives how many there are.
    ///
    /// # Panics
    /// As [`Canaries::assert_absent`]; the folder cannot be read.
    pub fn assert_absent_below(&self, folder: &Path) -> usize {
        let mut files = 0;
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                files += self.assert_absent_below(&path);
                continue;
            }
            // One that was deleted meanwhile has nothing to hide.
            if let Ok(bytes) = fs::read(&path) {
                self.assert_absent(&path.display().to_string(), &bytes);
                files += 1;
            }
        }
        files
    }
}

/// Everything but letters and digits (RFC 3986 section 2.1).
fn percent_encoded(value: &str) -> String {
    let encoded = value
        .bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        });
    encoded.collect()
}

fn ascii_only(json: &str) -> String {
    let mut escaped = String::new();
    for letter in json.chars() {
        if letter.is_ascii() {
            escaped.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            escaped.push_str(&format!("\\u{unit:04x}"));
        }
    }
    escaped
}

fn hexadecimal(value: &str) -> String {
    value.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// The letters that are the same whatever stands before, in so many bytes, and after the value.
fn within_base64(engine: &GeneralPurpose, value: &str, before: usize) -> Vec<u8> {
    let encoded = engine.encode([&vec![0; before], value.as_bytes()].concat());
    let whole = (before + value.len()) * 8 / 6;
    encoded.as_bytes()[(before * 8).div_ceil(6)..whole].to_vec()
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

    use super::*;

    const SECRET: &str = "s3cr\u{e9}t \"of\" a\\test/+&?";

    fn looking() -> Canaries {
        let mut canaries = Canaries::default();
        canaries.add("the secret", SECRET);
        canaries
    }

    fn names(text: &str) -> Vec<String> {
        let canaries = looking();
        let found = canaries.found_in(text.as_bytes());
        found.into_iter().map(str::to_owned).collect()
    }

    /// A scan that cannot fail shows nothing.
    #[test]
    fn what_is_planted_is_found_however_it_is_written() {
        let json = serde_json::json!({"said": SECRET}).to_string();
        let url =
            url::Url::parse_with_params("https://portal.example/?a=b", [("q", SECRET)]).unwrap();
        let bytes = format!("{:x?}", SECRET.as_bytes()).replace(['[', ']', ',', ' '], "");
        for (planted, form) in [
            (format!("it is {SECRET}."), "plain"),
            (url.to_string(), "in a form"),
            (format!("/a/{}/b", percent_encoded(SECRET)), "in a URL"),
            (json.clone(), "in JSON"),
            (ascii_only(&json), "in JSON, ASCII only"),
            (
                serde_json::json!({"body": json}).to_string(),
                "in JSON within JSON",
            ),
            (format!("\\x00{bytes}00"), "in hexadecimal"),
        ] {
            let expected = format!("the secret, {form}");
            assert!(names(&planted).contains(&expected), "{form}: {planted}");
        }
    }

    #[test]
    fn base64_hides_it_at_no_alignment() {
        for before in 0..7 {
            for after in 0..7 {
                let (before, after) = ("x".repeat(before), "y".repeat(after));
                let text = format!("{before}{SECRET}{after}");
                for encoded in [BASE64_STANDARD.encode(&text), BASE64_URL_SAFE.encode(&text)] {
                    let found = names(&format!("Basic {encoded}"));
                    assert!(
                        found.iter().any(|name| name.contains("base64")),
                        "{encoded}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let canaries = looking();
        let near = SECRET.replace('s', "S");
        assert_eq!(canaries.found_in(near.as_bytes()), BTreeSet::new());
        assert_eq!(canaries.found_in(b""), BTreeSet::new());
    }

    #[test]
    #[should_panic(expected = "holds {\"the secret, plain\"}")]
    fn a_file_that_holds_it_fails_the_scan() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("page"), format!("\0\0{SECRET}\0")).unwrap();
        looking().assert_absent_below(folder.path());
    }
}
