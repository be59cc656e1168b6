//! Typed values out of the layers. A value that is wrong is noted and replaced
//! by its default, so that reading goes on to the next problem.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write as _};
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use figment::value::Value;
use portico_vault::Secret;
use url::Url;

use super::layers::{Layers, leaves};
use super::values::{duration, mask_url, origin, url};
use super::{ConfigError, ConfigErrors};

/// Keys whose values are never shown. Reading one of them as anything but a
/// secret, or another key as one, is a mistake that the tests find.
pub(super) const SECRETS: [&str; 10] = [
    "admin.password",
    "database.url",
    "kek",
    "kek_previous",
    "nats.url",
    "outgoing.proxy",
    "services.identity_key",
    "services.identity_key_previous",
    "smtp.url",
    "telemetry.otlp_headers",
];

pub(super) struct Reader {
    layers: Layers,
    read: BTreeSet<&'static str>,
}

impl Reader {
    pub(super) fn new(layers: Layers) -> Self {
        Self {
            layers,
            read: BTreeSet::new(),
        }
    }

    /// Two settings that go together. Where one of them is not set, that is a problem; what is wrong with one that is
    /// set was noted when it was read.
    pub(super) fn both<A, B>(
        &mut self,
        (key, first): (&str, Option<A>),
        (other, second): (&str, Option<B>),
    ) -> Option<(A, B)> {
        let (missing, set) = match (first, second) {
            (Some(first), Some(second)) => return Some((first, second)),
            (Some(_), None) => (other, key),
            (None, Some(_)) => (key, other),
            (None, None) => return None,
        };
        let value = self.layers.merged.find_value(missing);
        if value.is_ok_and(|value| value.as_str() == Some("")) {
            self.problem(missing, format!("must be set with {set}"));
        }
        None
    }

    /// The problems, if there are any.
    pub(super) fn finish(self) -> Result<(), ConfigErrors> {
        if self.layers.problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigErrors(self.layers.problems))
        }
    }

    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        let source = self.source(key);
        self.layers.problems.push(ConfigError {
            key: key.to_owned(),
            message: message.into(),
            source,
        });
    }

    fn source(&self, key: &str) -> String {
        self.layers.source(key).to_owned()
    }

    #[expect(
        clippy::expect_used,
        reason = "the default file is part of the program, and a test reads all of it"
    )]
    pub(super) fn value<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&Value) -> Result<T, String>,
    ) -> T {
        self.read.insert(key);
        let given = self.layers.merged.find_value(key);
        let error = match given
            .map_err(|_| "is missing".to_owned())
            .and_then(|v| parse(&v))
        {
            Ok(value) => return value,
            Err(error) => error,
        };
        self.problem(key, error);
        let default = self
            .layers
            .defaults
            .get(key.split('.').next().unwrap_or(key));
        let section = default.expect("the key has a default");
        let value = match key.split_once('.') {
            Some((_, inner)) => section.find_ref(inner).expect("the key has a default"),
            None => section,
        };
        parse(value).expect("the default is valid")
    }

    /// A text; empty when not set.
    pub(super) fn text(&mut self, key: &'static str) -> String {
        self.value(key, |value| text_of(value).map(str::to_owned))
    }

    /// A text, if set.
    pub(super) fn optional(&mut self, key: &'static str) -> Option<String> {
        Some(self.text(key)).filter(|text| !text.is_empty())
    }

    /// A text of a form that has a parser.
    pub(super) fn parsed<T: FromStr>(&mut self, key: &'static str, what: &str) -> T {
        self.value(key, |value| {
            let text = text_of(value)?.trim();
            text.parse().map_err(|_| format!("must be {what}"))
        })
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> T {
        self.value(key, |value| {
            let text = text_of(value)?;
            match choices.iter().find(|(word, _)| *word == text) {
                Some((_, choice)) => Ok(*choice),
                None => {
                    let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                    Err(format!("must be one of {}", words.join(", ")))
                }
            }
        })
    }

    /// A list whose items have a parser that says what they must be.
    pub(super) fn parsed_list<T: FromStr<Err: Display>, L: FromIterator<T>>(
        &mut self,
        key: &'static str,
    ) -> L {
        self.value(key, |value| {
            let Value::Array(_, items) = value else {
                return Err("must be a list".to_owned());
            };
            items
                .iter()
                .map(|item| {
                    let text = text_of(item)?;
                    text.parse().map_err(|error| format!("\"{text}\": {error}"))
                })
                .collect()
        })
    }

    /// A whole number above zero, of a type without a sign.
    pub(super) fn number<T: TryFrom<u128>>(&mut self, key: &'static str) -> T {
        let largest = u128::MAX >> (u128::BITS as usize - 8 * size_of::<T>());
        self.value(key, |value| {
            whole(value)
                .filter(|number| *number > 0)
                .and_then(|number| T::try_from(number).ok())
                .ok_or_else(|| format!("must be a whole number from 1 to {largest}"))
        })
    }

    /// A number from 0 to 1.
    pub(super) fn ratio(&mut self, key: &'static str) -> f64 {
        self.value(key, |value| {
            number(value)
                .filter(|ratio| (0.0..=1.0).contains(ratio))
                .ok_or_else(|| "must be a number from 0 to 1".to_owned())
        })
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Duration {
        self.value(key, |value| duration(text_of(value)?))
    }

    /// As [`Reader::duration`]; `0s` is none.
    pub(super) fn duration_or_none(&mut self, key: &'static str) -> Duration {
        self.value(key, |value| match text_of(value)?.trim() {
            "0s" => Ok(Duration::ZERO),
            text => duration(text),
        })
    }

    pub(super) fn path(&mut self, key: &'static str) -> PathBuf {
        self.value(key, |value| match text_of(value)? {
            "" => Err("must be a path".to_owned()),
            path => Ok(path.into()),
        })
    }

    /// A file that is there, if set.
    pub(super) fn file(&mut self, key: &'static str) -> Option<PathBuf> {
        self.existing(key, "a file", std::path::Path::is_file)
    }

    /// A folder that is there, if set.
    pub(super) fn folder(&mut self, key: &'static str) -> Option<PathBuf> {
        self.existing(key, "a folder", std::path::Path::is_dir)
    }

    fn existing(
        &mut self,
        key: &'static str,
        what: &str,
        is: fn(&std::path::Path) -> bool,
    ) -> Option<PathBuf> {
        self.value(key, |value| match text_of(value)? {
            "" => Ok(None),
            path if is(path.as_ref()) => Ok(Some(path.into())),
            _ => Err(format!("must be {what} that exists")),
        })
    }

    /// A URL with one of these schemes, if set.
    pub(super) fn url(&mut self, key: &'static str, schemes: &[&str]) -> Option<Url> {
        self.value(key, |value| match text_of(value)? {
            "" => Ok(None),
            text => url(text, schemes).map(Some),
        })
    }

    /// Origins with one of these schemes: no path, no user, no query.
    pub(super) fn urls(&mut self, key: &'static str, schemes: &[&str]) -> Vec<Url> {
        self.value(key, |value| {
            let Value::Array(_, items) = value else {
                return Err("must be a list".to_owned());
            };
            items
                .iter()
                .map(|item| origin(text_of(item)?, schemes))
                .collect()
        })
    }

    /// A text that is never shown, if set.
    pub(super) fn secret(&mut self, key: &'static str) -> Option<Secret> {
        self.optional(key).map(Secret::new)
    }

    pub(super) fn secrets(&mut self, key: &'static str) -> Vec<Secret> {
        self.value(key, |value| match value {
            Value::Array(_, items) => items
                .iter()
                .map(|item| text_of(item).map(Secret::new))
                .collect(),
            _ => Err("must be a list".to_owned()),
        })
    }

    /// A URL that may hold a password, if set.
    pub(super) fn secret_url(&mut self, key: &'static str, schemes: &[&str]) -> Option<Secret> {
        self.url(key, schemes).map(|url| Secret::new(url.as_str()))
    }

    /// What tells whether a value is another one, of secrets, too. It is of use in this process only.
    pub(super) fn fingerprints(&self) -> BTreeMap<String, u64> {
        static KEYED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let leaves = leaves(&self.layers.defaults).into_iter();
        let fingerprints = leaves.map(|(key, default)| {
            let value = self.layers.merged.find_value(&key).unwrap_or(default);
            let fingerprint = KEYED.hash_one(plain(&value));
            (key, fingerprint)
        });
        fingerprints.collect()
    }

    /// Every key, its value and where that comes from.
    pub(super) fn masked(&self) -> String {
        let mut lines = String::new();
        for (key, default) in leaves(&self.layers.defaults) {
            let value = self.layers.merged.find_value(&key).unwrap_or(default);
            let value = match SECRETS.contains(&key.as_str()) {
                true => mask(&value),
                false => plain(&value),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{key} = {value}  # {}", self.source(&key));
        }
        lines
    }
}

/// As it is written in TOML.
fn plain(value: &Value) -> String {
    match value {
        Value::Num(..) => {
            let fraction = || number(value).map(|n| n.to_string());
            let whole = whole(value).map(|n| n.to_string());
            whole.or_else(fraction).unwrap_or_default()
        }
        Value::Bool(_, yes) => yes.to_string(),
        Value::Array(_, items) => {
            let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            format!("{items:?}")
        }
        value => format!("{:?}", value.as_str().unwrap_or_default()),
    }
}

/// Says whether a secret is set, and of a URL all but its password.
fn mask(value: &Value) -> String {
    match value {
        Value::Array(_, items) => format!("{:?}", vec!["***"; items.len()]),
        value => match value.as_str() {
            Some("") => "\"\"".to_owned(),
            text => format!("{:?}", text.map_or("***".to_owned(), mask_url)),
        },
    }
}

/// TOML has signed numbers, variables are read as unsigned ones.
fn whole(value: &Value) -> Option<u128> {
    let signed = || value.to_i128().and_then(|number| number.try_into().ok());
    value.to_u128().or_else(signed)
}

/// With a fraction or without.
fn number(value: &Value) -> Option<f64> {
    let whole = || whole(value).and_then(|n| u32::try_from(n).ok());
    value.to_f64().or_else(|| whole().map(f64::from))
}

/// A text in one line: of several lines, such as those of a secret's file, one address or password would be made.
fn text_of(value: &Value) -> Result<&str, String> {
    let text = value.as_str().ok_or_else(|| "must be a text".to_owned())?;
    match text.contains(char::is_control) {
        true => Err("must be one line, without control characters".to_owned()),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn every_key_is_read_and_every_default_is_valid() {
        let own = super::super::OwnSettings::default();
        let mut reader = Reader::new(Layers::gather(None, std::iter::empty(), &own));
        Config::read(&mut reader);
        let all: Vec<_> = leaves(&reader.layers.defaults)
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        for key in &all {
            assert!(reader.read.contains(key.as_str()), "{key} is never read");
        }
        assert_eq!(reader.read.len(), all.len());
        assert_eq!(reader.layers.problems, []);
    }

    #[test]
    fn the_manual_marks_the_secrets() {
        let mut section = String::new();
        let mut marked = Vec::new();
        let mut comment = String::new();
        for line in super::super::layers::DEFAULTS.lines() {
            if let Some(text) = line.strip_prefix('#') {
                comment.push_str(text);
                continue;
            }
            if let Some(name) = line.strip_prefix('[') {
                section = format!("{}.", name.trim_end_matches(']'));
            } else if let Some((key, _)) = line.split_once(" = ")
                && comment.trim_start().starts_with("(secret)")
            {
                marked.push(format!("{section}{key}"));
            }
            comment.clear();
        }
        marked.sort();
        assert_eq!(marked, SECRETS);
    }
}
