//! Values of the chart: what its schema refuses, and in which words.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    files::{Repository, items},
    helm::{CHART, template},
};

/// A value, and words of the refusal.
const REFUSED: &[(&str, &str)] = &[
    ("publicUrl=", "/publicUrl"),
    ("publicUrl=portal.example.org", "/publicUrl"),
    ("image.tag=latest", "/image/tag"),
    ("image.digest=sha256:0a1b", "/image/digest"),
    (
        "settings.PORTICO_DATABASE_URL=postgres://a@b/c",
        "'PORTICO_DATABASE_URL'",
    ),
    ("settings.LOG_LEVEL=info", "'LOG_LEVEL'"),
    ("services.catalogue.replicas=2", "'catalogue' not allowed"),
    ("services.edge.replicas=0", "/services/edge/replicas"),
    (
        "services.catalog.autoscaling.queueAge=30",
        "/services/catalog/autoscaling",
    ),
    (
        "services.catalog.resources.limits.memory=null",
        "/services/catalog/resources/limits",
    ),
    ("ingress.paths[0]=/api", "'paths' not allowed"),
    ("topologySpread.zone=Sometimes", "/topologySpread/zone"),
];

pub fn what_cannot_be_meant_is_refused_by_field() {
    let ours = Repository::ours();
    for (value, words) in REFUSED {
        let said = template(&ours, "minimal", &["--set", value]).unwrap_err();
        assert!(said.contains(words), "{value}: {said}");
    }
}

/// A key marked `(secret)` in the configuration's manual is not taken as a setting, where it would stand in a ConfigMap.
pub fn no_secret_is_a_setting() {
    let ours = Repository::ours();
    let schema: Value =
        serde_json::from_str(&ours.text(&format!("{CHART}/values.schema.json"))).unwrap();
    let refused = items(&schema, "/definitions/settings/propertyNames/not/enum");
    let refused: BTreeSet<&str> = refused.iter().filter_map(Value::as_str).collect();
    let secrets = secrets(&ours.text("crates/runtime/src/config.default.toml"));
    let secrets: BTreeSet<&str> = secrets.iter().map(String::as_str).collect();
    assert_eq!(refused, secrets);
}

/// Variables of the keys below a comment that begins with `(secret)`.
fn secrets(manual: &str) -> Vec<String> {
    let (mut section, mut marked, mut secrets) = ("", false, Vec::new());
    for line in manual.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if line.starts_with('#') {
            marked |= line.starts_with("# (secret)");
        } else if let Some((key, _)) = line.split_once(" = ")
            && std::mem::take(&mut marked)
        {
            let path = [section, key].join("_").to_uppercase();
            secrets.push(format!("PORTICO_{}", path.trim_start_matches('_')));
        }
    }
    secrets
}
