//! Arrows within a crate run down and never up: `lib -> grpc, worker -> policies, publish, views -> aggregates`, and
//! `worker -> outside`.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    SERVICES,
    sources::{self, Source},
};

/// What must not be known in a room, by the rooms of every service.
const UP: [(&[&str], &[&str]); 3] = [
    (&["worker"], &["grpc"]),
    (&["policies", "publish"], &["grpc", "worker"]),
    (
        &["views"],
        &[
            "grpc",
            "worker",
            "policies",
            "publish",
            "providers",
            "gateways",
            "smtp",
        ],
    ),
];
/// Above an aggregate, and outside of the service.
const ABOVE_AGGREGATES: [&str; 8] = [
    "grpc",
    "worker",
    "policies",
    "publish",
    "views",
    "providers",
    "gateways",
    "smtp",
];
/// Networks and databases.
const OUTSIDE: [&str; 7] = [
    "tonic",
    "sqlx",
    "axum",
    "http",
    "reqwest",
    "portico_bus",
    "lettre",
];
/// Drivers: they speak to a neighbour, and know nothing of the service around them.
const DRIVERS: [&str; 3] = ["providers", "gateways", "smtp"];
const ABOVE_DRIVERS: [&str; 5] = ["grpc", "worker", "policies", "publish", "views"];

/// Each arrow that must not be, in words.
fn forbidden(sources: &[Source], from: impl Fn(&Source) -> bool, to: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| from(source)) {
        for path in source.imports() {
            if to.contains(&path[0].as_str()) && path[0] != source.room() {
                found.push(format!("{} imports {}", source.path, path.join("::")));
            }
        }
    }
    found
}

/// Rooms that are aggregates.
fn aggregates(sources: &[Source]) -> BTreeSet<&str> {
    let of = sources
        .iter()
        .filter(|source| source.code.contains("impl Aggregate for "));
    of.map(Source::room).collect()
}

#[test]
fn in_a_service_arrows_run_down() {
    let mut found = Vec::new();
    for service in SERVICES {
        let sources = sources::of_crate(&service.replace("portico-", "services/"));
        for (from, to) in UP {
            found.extend(forbidden(
                &sources,
                |source| from.contains(&source.room()),
                to,
            ));
        }
        found.extend(forbidden(
            &sources,
            |source| DRIVERS.contains(&source.room()),
            &ABOVE_DRIVERS,
        ));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn an_aggregate_knows_neither_network_nor_database() {
    let mut found = Vec::new();
    for service in SERVICES {
        let sources = sources::of_crate(&service.replace("portico-", "services/"));
        let aggregates = aggregates(&sources);
        assert!(!aggregates.is_empty(), "{service} has no aggregate");
        let is = |source: &Source| aggregates.contains(source.room());
        found.extend(forbidden(&sources, is, &ABOVE_AGGREGATES));
        for source in sources.iter().filter(|source| is(source)) {
            let outside = OUTSIDE.iter().filter(|name| source.uses(name));
            found.extend(outside.map(|name| format!("{} uses {name}", source.path)));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_command_line_does_not_know_the_demo() {
    let sources = sources::of_crate("portico");
    // Only the list of subcommands starts it.
    let command = |source: &Source| source.room() == "cli" && source.module.len() > 1;
    let mut found = forbidden(&sources, command, &["demo"]);
    let below = |source: &Source| ["edge", "run"].contains(&source.room());
    found.extend(forbidden(&sources, below, &["cli", "demo"]));
    let edge = |source: &Source| source.room() == "edge";
    found.extend(forbidden(&sources, edge, &["run"]));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_rooms_of_the_runtime_are_in_no_circle() {
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let sources = sources::of_crate("crates/runtime");
    let rooms: BTreeSet<String> = sources
        .iter()
        .map(|source| source.room().to_owned())
        .collect();
    let shown = shown_at_the_root(&sources);
    for source in sources.iter().filter(|source| !source.room().is_empty()) {
        let to = source.imports().into_iter().map(|mut path| path.remove(0));
        let to = to.map(|name| shown.get(&name).cloned().unwrap_or(name));
        let to = to.filter(|to| rooms.contains(to) && to != source.room());
        arrows
            .entry(source.room().to_owned())
            .or_default()
            .extend(to);
    }
    // What imports nothing that is left is taken away, until nothing is left or all of the rest is in circles.
    while let Some(leaf) = arrows
        .iter()
        .find(|(_, to)| to.iter().all(|to| !arrows.contains_key(to)))
    {
        let leaf = leaf.0.clone();
        arrows.remove(&leaf);
    }
    assert!(arrows.is_empty(), "in a circle: {arrows:#?}");
}

/// What the root of a crate has of its rooms, by name, with the room.
fn shown_at_the_root(sources: &[Source]) -> BTreeMap<String, String> {
    let root = sources.iter().filter(|source| source.room().is_empty());
    let paths = root.flat_map(|source| source.names_after("pub use "));
    let shown = paths.filter_map(|path| Some((path.last()?.clone(), path.first()?.clone())));
    shown.collect()
}
