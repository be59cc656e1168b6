//! The walls of the house: services know the contracts and the shared crates, never each other, and within a crate
//! arrows run down.

#![expect(
    clippy::expect_used,
    unreachable_pub,
    reason = "a failure is the end of the test"
)]

mod arrows;
mod sources;

use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::Value;

/// A service for each neighbour in the outside world, and for each thing that is decided within.
const SERVICES: [&str; 6] = [
    "portico-access-request",
    "portico-accounts",
    "portico-catalog",
    "portico-gateway",
    "portico-notification",
    "portico-registration",
];
/// What each shared crate may use of the others.
const SHARED: [(&str, &[&str]); 5] = [
    ("portico-proto", &[]),
    ("portico-bus", &[]),
    ("portico-vault", &[]),
    ("portico-eventstore", &["portico-bus"]),
    (
        "portico-runtime",
        &[
            "portico-proto",
            "portico-bus",
            "portico-vault",
            "portico-eventstore",
        ],
    ),
];

/// What cargo says of each member.
fn members() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

/// Each member's dependencies on other members, tests aside.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    members()
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let ours = dependencies
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .filter_map(|dependency| dependency["name"].as_str())
                .filter(|name| name.starts_with("portico-"))
                .map(str::to_owned)
                .collect();
            (package["name"].as_str().expect("a name").to_owned(), ours)
        })
        .collect()
}

#[test]
fn services_never_import_one_another() {
    let dependencies = dependencies();
    for service in SERVICES {
        let uses = dependencies
            .get(service)
            .unwrap_or_else(|| panic!("{service} is not a member"));
        let foreign: Vec<_> = uses
            .iter()
            .filter(|name| !SHARED.iter().any(|(shared, _)| shared == name))
            .collect();
        assert!(foreign.is_empty(), "{service} uses {foreign:?}");
    }
}

#[test]
fn shared_crates_use_only_what_is_below_them() {
    let dependencies = dependencies();
    for (shared, allowed) in SHARED {
        let uses = dependencies
            .get(shared)
            .unwrap_or_else(|| panic!("{shared} is not a member"));
        let foreign: Vec<_> = uses
            .iter()
            .filter(|name| !allowed.contains(&name.as_str()))
            .collect();
        assert!(foreign.is_empty(), "{shared} uses {foreign:?}");
    }
}

#[test]
fn every_source_file_is_compiled() {
    let mut found = Vec::new();
    for member in members() {
        let manifest = Path::new(member["manifest_path"].as_str().expect("a path"));
        found.extend(sources::undeclared(&manifest.with_file_name("src")));
    }
    assert!(found.is_empty(), "no `mod` leads to {found:#?}");
}
