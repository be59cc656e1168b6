//! The layers of the configuration, merged, and their unknown keys.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::nearest::{did_you_mean, nearest};
use super::{ConfigError, FILE_VARIABLE, OwnSettings};

/// Variables beside the keys: the configuration file; the portal that commands such as `portico parked` ask, which an
/// operator sets for all commands of a session; and how strict our tests are, which programs that they start see too.
const NOT_KEYS: [&str; 4] = [
    FILE_VARIABLE,
    "PORTICO_URL",
    "PORTICO_TOKEN",
    "PORTICO_TESTS",
];

/// The keys there are, their kinds and their defaults.
pub(super) const DEFAULTS: &str = include_str!("../config.default.toml");

/// Keys and sections of a variable's name begin after this.
const PREFIX: &str = "PORTICO_";
/// `PORTICO_SMTP_URL_FILE` names a file with what `PORTICO_SMTP_URL` would say.
const FILE_SUFFIX: &str = "_FILE";
const NO_SUCH_KEY: &str = "there is no such key; config.default.toml has all of them";
pub(super) const DEFAULT_SOURCE: &str = "default";

/// All layers merged, and their problems.
pub(super) struct Layers {
    pub(super) merged: Figment,
    pub(super) defaults: Dict,
    pub(super) problems: Vec<ConfigError>,
}

/// One layer and where it comes from.
struct Layer {
    source: String,
    dict: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

impl Layers {
    pub(super) fn gather(
        file: Option<&Path>,
        variables: impl Iterator<Item = (OsString, OsString)>,
        own: &OwnSettings,
    ) -> Self {
        let mut layers = Self {
            merged: Figment::new(),
            defaults: Dict::new(),
            problems: Vec::new(),
        };
        layers.defaults = layers.toml("config.default.toml", DEFAULTS);
        layers.merge(DEFAULT_SOURCE, layers.defaults.clone());
        layers.set(own.command, &own.defaults);

        let ours: Vec<_> = variables
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, value)| is_ours(name) && !value.is_empty())
            .collect();
        let named = ours.iter().find(|(name, _)| name == FILE_VARIABLE);
        let file = file
            .map(Path::to_owned)
            .or_else(|| named.map(|(_, value)| PathBuf::from(value)));
        if let Some(file) = file {
            layers.file(&file);
        }
        for (name, value) in ours {
            if !NOT_KEYS.contains(&name.as_str()) && !is_kubernetes_link(&name, &value) {
                layers.variable(&name, value);
            }
        }
        layers.refuse_fixed(own);
        layers.set(own.command, &own.fixed);
        layers.set(own.command, &own.known);
        layers
    }

    /// Where a key has its value from.
    pub(super) fn source(&self, key: &str) -> &str {
        let metadata = self.merged.find_metadata(key);
        metadata.map_or(DEFAULT_SOURCE, |metadata| metadata.name.as_ref())
    }

    /// Settings of a command, of the kinds that the defaults have.
    fn set(&mut self, command: &str, settings: &[(&'static str, String)]) {
        let keys = leaves(&self.defaults);
        for (key, text) in settings {
            if let Some((_, kind)) = keys.iter().find(|(known, _)| known == key) {
                self.merge(command, nest(key, typed(text, kind)));
            }
        }
    }

    /// Whatever a command has itself cannot be configured for it: it would be ignored.
    fn refuse_fixed(&mut self, own: &OwnSettings) {
        for (key, _) in &own.fixed {
            let source = self.source(key).to_owned();
            if source != DEFAULT_SOURCE {
                let message = format!("cannot be set for `{}`, which has its own", own.command);
                self.problem(key, message, &source);
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let mut dict = self.toml(&name, &text);
                let defaults = self.defaults.clone();
                self.drop_unknown(&name, "", &mut dict, &defaults);
                self.merge(&name, dict);
            }
            Err(error) => self.problem(&name, format!("cannot be read: {error}"), &name),
        }
    }

    fn toml(&mut self, name: &str, text: &str) -> Dict {
        match Toml::string(text).data() {
            Ok(mut profiles) => profiles.remove(&Profile::Default).unwrap_or_default(),
            Err(error) => {
                // Its message quotes the line, which may hold a secret; it begins with where that is.
                let error = error.kind.to_string();
                let place = error.lines().next().unwrap_or_default();
                self.problem(name, format!("is not TOML: {place}"), name);
                Dict::new()
            }
        }
    }

    fn variable(&mut self, name: &str, value: OsString) {
        let Ok(text) = value.into_string() else {
            self.problem(name, "must be UTF-8".to_owned(), name);
            return;
        };
        let keys = leaves(&self.defaults);
        if let Some((key, kind)) = keys.iter().find(|(key, _)| variable_of(key) == name) {
            self.merge(name, nest(key, typed(&text, kind)));
            return;
        }
        let base = name.strip_suffix(FILE_SUFFIX);
        let secret = keys.iter().find(|(key, kind)| {
            Some(variable_of(key).as_str()) == base
                && super::reader::SECRETS.contains(&key.as_str())
                && matches!(kind, Value::String(..) | Value::Array(..))
        });
        match secret {
            Some((key, kind)) => match std::fs::read_to_string(&text) {
                Ok(text) => self.merge(name, nest(key, typed(&in_file(&text, kind), kind))),
                Err(error) => self.problem(name, format!("its file cannot be read: {error}"), name),
            },
            None => self.problem(name, format!("{NO_SUCH_KEY}{}", meant(name, &keys)), name),
        }
    }

    fn merge(&mut self, source: &str, dict: Dict) {
        let layer = Layer {
            source: source.to_owned(),
            dict,
        };
        self.merged = std::mem::take(&mut self.merged).merge(layer);
    }

    /// Removes unknown keys, so that one mistake is reported once.
    fn drop_unknown(&mut self, source: &str, path: &str, dict: &mut Dict, known: &Dict) {
        let mut wrong = Vec::new();
        for (key, value) in dict.iter_mut() {
            let path = format!("{path}{key}");
            match (value, known.get(key)) {
                (Value::Dict(_, given), Some(Value::Dict(_, known))) => {
                    self.drop_unknown(source, &format!("{path}."), given, known);
                    continue;
                }
                (_, None) => {
                    let keys = leaves(&self.defaults);
                    let sections = self.defaults.keys().cloned();
                    let known: Vec<String> = keys
                        .into_iter()
                        .map(|(key, _)| key)
                        .chain(sections)
                        .collect();
                    let meant = did_you_mean(&path, known.iter().map(String::as_str));
                    self.problem(&path, format!("{NO_SUCH_KEY}{meant}"), source);
                }
                (_, Some(Value::Dict(..))) => {
                    self.problem(&path, format!("is a section: [{path}]"), source);
                }
                (Value::Dict(..), Some(_)) => {
                    self.problem(&path, "is not a section".to_owned(), source);
                }
                _ => continue,
            }
            wrong.push(key.clone());
        }
        for key in wrong {
            dict.remove(&key);
        }
    }

    fn problem(&mut self, key: &str, message: String, source: &str) {
        self.problems.push(ConfigError {
            key: key.to_owned(),
            message,
            source: source.to_owned(),
        });
    }
}

/// The variable of a key: `smtp.url` is `PORTICO_SMTP_URL`.
fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}

/// What a variable would say in place of a file: of a list each line is one.
fn in_file(text: &str, kind: &Value) -> String {
    match kind {
        Value::Array(..) => text.trim_end().replace('\n', ","),
        _ => text.trim_end().to_owned(),
    }
}

/// Which variable was meant by one that does not exist. The prefix says nothing, as all have it.
fn meant(name: &str, keys: &[(String, Value)]) -> String {
    let known = keys.iter().flat_map(|(key, _)| {
        let name = variable_of(key).split_off(PREFIX.len());
        let file = super::reader::SECRETS.contains(&key.as_str());
        let file = file.then(|| format!("{name}{FILE_SUFFIX}"));
        [Some(name), file].into_iter().flatten()
    });
    let known: Vec<String> = known.collect();
    match nearest(&name[PREFIX.len()..], known.iter().map(String::as_str)) {
        Some(known) => format!("; did you mean {PREFIX}{known}?"),
        None => String::new(),
    }
}

/// All keys with their values, sections joined by dots.
pub(super) fn leaves(dict: &Dict) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (key, value) in dict {
        match value {
            Value::Dict(_, section) => found.extend(
                leaves(section)
                    .into_iter()
                    .map(|(inner, value)| (format!("{key}.{inner}"), value)),
            ),
            value => found.push((key.clone(), value.clone())),
        }
    }
    found
}

fn nest(key: &str, value: Value) -> Dict {
    match key.split_once('.') {
        Some((section, rest)) => Dict::from([(section.to_owned(), Value::from(nest(rest, value)))]),
        None => Dict::from([(key.to_owned(), value)]),
    }
}

/// The text of a variable as the kind that the default has. What does not fit
/// stays text, and is refused where it is read.
fn typed(text: &str, kind: &Value) -> Value {
    match kind {
        Value::Num(..) => match (text.parse::<u64>(), text.parse::<f64>()) {
            (Ok(whole), _) => whole.into(),
            (Err(_), Ok(fraction)) => fraction.into(),
            (Err(_), Err(_)) => text.into(),
        },
        Value::Bool(..) => text
            .parse::<bool>()
            .map_or_else(|_| text.into(), Value::from),
        Value::Array(..) => text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .into(),
        _ => text.into(),
    }
}

/// Whether a variable is meant for us, also where it is written in small letters.
fn is_ours(name: &str) -> bool {
    let prefix = name.as_bytes().get(..PREFIX.len());
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX.as_bytes()))
}

/// Kubernetes puts variables about a service named `portico` (or `portico-x`) into every pod of the namespace:
/// `PORTICO_SERVICE_HOST`, `PORTICO_PORT`, `PORTICO_PORT_3000_TCP_ADDR`. They are not for us.
fn is_kubernetes_link(name: &str, value: &OsStr) -> bool {
    let value = value.to_string_lossy();
    let is_address = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let port = |rest: &str| match rest.split('_').collect::<Vec<_>>().as_slice() {
        [port, "TCP" | "UDP" | "SCTP"] => number(port),
        [port, "TCP" | "UDP" | "SCTP", "PROTO" | "PORT" | "ADDR"] => number(port),
        _ => false,
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        // Not the port of something that somebody wanted to configure.
        || (name.ends_with("_PORT") && is_address)
        || name.contains("_SERVICE_PORT_")
        || name
            .split_once("_PORT_")
            .is_some_and(|(_, rest)| port(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_variable_of_its_own() {
        let mut layers = Layers::gather(None, std::iter::empty(), &OwnSettings::default());
        let dict = layers.toml("", DEFAULTS);
        let mut names: Vec<_> = leaves(&dict)
            .iter()
            .map(|(key, _)| variable_of(key))
            .collect();
        assert!(names.len() > 40 && layers.problems.is_empty());
        let any = |name: &String| is_kubernetes_link(name, OsStr::new("tcp://10.0.0.1:80"));
        assert!(!names.iter().any(any));
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn kubernetes_links_are_told_apart() {
        for (link, value) in [
            ("PORTICO_SERVICE_HOST", "10.0.0.1"),
            ("PORTICO_SERVICE_PORT", "3000"),
            ("PORTICO_CATALOG_SERVICE_PORT_GRPC", "3002"),
            ("PORTICO_PORT", "tcp://10.0.0.1:3000"),
            ("PORTICO_PORT_3000_TCP", "tcp://10.0.0.1:3000"),
            ("PORTICO_CATALOG_PORT_3002_TCP_ADDR", "10.0.0.1"),
        ] {
            assert!(is_kubernetes_link(link, OsStr::new(value)), "{link}");
        }
        for other in [
            "PORTICO_LISTEN",
            "PORTICO_PORT_LIST",
            "PORTICO_SUPPORT_1",
            "PORTICO_SMTP_PORT",
        ] {
            assert!(!is_kubernetes_link(other, OsStr::new("25")), "{other}");
        }
    }
}
