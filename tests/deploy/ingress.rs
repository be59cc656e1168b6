//! The ingress: every page and the API, at a port without probes and numbers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    files::{Repository, items, text},
    problems::Problems,
    program::Understood,
    workloads::{World, known, port_number},
};

pub fn check(world: &World<'_>, parts: &BTreeMap<String, Understood>, problems: &mut Problems) {
    for ingress in world.objects.of_kind("Ingress") {
        let at = format!("ingress {}", text(ingress, "/metadata/name"));
        let rules = items(ingress, "/spec/rules").iter();
        let paths: Vec<&Value> = rules.flat_map(|rule| items(rule, "/http/paths")).collect();
        let mut with_pages = false;
        for path in &paths {
            let name = text(path, "/backend/service/name");
            let port = text(path, "/backend/service/port/name");
            let service = world.objects.named("Service", name);
            let ports = service.map_or(&[][..], |service| items(service, "/spec/ports"));
            let port_there = ports.iter().find(|one| text(one, "/name") == port);
            problems.unless(port_there.is_some(), || {
                format!("{at}: no port {port} of {name}")
            });
            let number = port_there.map(|port| port_number(port, "/port"));
            let part = parts.get(name);
            let listeners = part.map(Understood::listeners).into_iter().flatten();
            for listener in listeners.filter(|one| Some(one.address.port()) == number) {
                problems.unless(!listener.probes, || {
                    format!("{at}: leads to health and metrics")
                });
            }
            with_pages |= part.is_some_and(|part| Some(part.config.listen.port()) == number);
        }
        if with_pages {
            routes(&at, &paths, problems);
        }
        for tls in items(ingress, "/spec/tls") {
            known(world, text(tls, "/secretName"), "tls.crt", &at, problems);
        }
    }
}

fn routes(at: &str, paths: &[&Value], problems: &mut Problems) {
    let routed = |wanted: &str| paths.iter().any(|path| leads(path, wanted));
    for path in linked() {
        problems.unless(routed(&path), || format!("{at}: no way to {path}"));
    }
    let api = "/api/v1/products";
    problems.unless(routed(api), || format!("{at}: no way to {api}"));
}

fn leads(path: &Value, wanted: &str) -> bool {
    let prefix = text(path, "/path");
    match text(path, "/pathType") {
        "Exact" => prefix == wanted,
        _ => {
            let rest = wanted.strip_prefix(prefix.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    }
}

/// Where pages link to, send forms to and take styles from.
fn linked() -> BTreeSet<String> {
    let ours = Repository::ours();
    let mut linked = BTreeSet::new();
    for file in ours
        .files("web")
        .iter()
        .filter(|file| file.ends_with(".html"))
    {
        let text = ours.text(file);
        for attribute in ["href=\"/", "action=\"/", "src=\"/"] {
            for rest in text.split(attribute).skip(1) {
                let end = rest.find(['"', '?', '#', '{']).unwrap_or(rest.len());
                linked.insert(format!("/{}", &rest[..end]));
            }
        }
    }
    assert!(linked.contains("/login"), "no links in the pages");
    linked
}
