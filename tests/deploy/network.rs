//! Network policies: what the services say to each other is let through, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum as _;
use portico::run::parts::Part;
use portico_runtime::{
    ServiceName,
    authorization::{self, EDGE, Users},
    methods,
};
use serde_json::Value;

use crate::{
    files::{items, text},
    helm::Objects,
    problems::Problems,
    program::Understood,
};

const COMPONENT: &str = "/podSelector/matchLabels/app.kubernetes.io~1component";
const NAMESPACE: &str = "/namespaceSelector/matchLabels/kubernetes.io~1metadata.name";
const POSTGRESQL: u16 = 5432;
const NATS: u16 = 4222;
const DNS: u16 = 53;
const HTTPS: u16 = 443;
const SMTPS: u16 = 465;

/// Who calls whom.
type Calls = BTreeSet<(String, String)>;

pub fn check(objects: &Objects, parts: &BTreeMap<String, Understood>, problems: &mut Problems) {
    nothing_else(objects, problems);
    let policies: BTreeMap<String, &Value> = objects
        .of_kind("NetworkPolicy")
        .map(|policy| {
            (
                text(policy, &format!("/spec{COMPONENT}")).to_owned(),
                policy,
            )
        })
        .collect();
    let mut pods: Vec<&str> = parts.keys().map(String::as_str).collect();
    pods.push("migrate");
    for pod in pods {
        let both = policies.get(pod).is_some_and(|policy| is_for_both(policy));
        problems.unless(both, || {
            format!("{pod}: no network policy for both directions")
        });
    }
    let calls = calls();
    for (direction, turned) in [("egress", false), ("ingress", true)] {
        let allowed = allowed(&policies, parts, direction, turned);
        for (from, to) in calls.difference(&allowed) {
            problems.say(format!(
                "network policy: no {direction} from {from} to {to}"
            ));
        }
        for (from, to) in allowed.difference(&calls) {
            problems.say(format!(
                "network policy: needless {direction} from {from} to {to}"
            ));
        }
    }
    surroundings(&policies, parts, problems);
}

/// Pods without a policy of their own may ask for names and nothing else.
fn nothing_else(objects: &Objects, problems: &mut Problems) {
    let denied = objects.named("NetworkPolicy", "nothing-else");
    let denies = denied.is_some_and(|policy| {
        is_for_both(policy)
            && items(policy, "/spec/egress").is_empty()
            && items(policy, "/spec/ingress").is_empty()
    });
    problems.unless(denies, || {
        "no network policy that denies the rest".to_owned()
    });
    let names = objects.named("NetworkPolicy", "names");
    let names = names.is_some_and(|policy| leaves(policy, DNS));
    problems.unless(names, || {
        "network policy: nobody can ask for names".to_owned()
    });
}

fn is_for_both(policy: &Value) -> bool {
    items(policy, "/spec/policyTypes") == ["Ingress", "Egress"]
}

/// By the rules of the methods: whoever may call one needs a way to it.
fn calls() -> Calls {
    let mut calls = Calls::new();
    for (path, method) in methods::all() {
        let Some(rule) = authorization::rule(path) else {
            continue;
        };
        let callees = match method.service {
            Some(service) => vec![service],
            None => ServiceName::ALL.to_vec(),
        };
        let mut callers: Vec<&str> = [rule.services, rule.handed_on_by].concat();
        if rule.users != Users::Nobody {
            callers.push(EDGE);
        }
        for callee in callees.into_iter().map(ServiceName::as_str) {
            let others = callers.iter().filter(|caller| **caller != callee);
            calls.extend(others.map(|caller| ((*caller).to_owned(), callee.to_owned())));
        }
    }
    calls
}

/// By the policies of one side, at the port of the one who is called.
fn allowed(
    policies: &BTreeMap<String, &Value>,
    parts: &BTreeMap<String, Understood>,
    direction: &str,
    turned: bool,
) -> Calls {
    let (list, peers) = (
        format!("/spec/{direction}"),
        if turned { "/from" } else { "/to" },
    );
    let mut allowed = Calls::new();
    for (own, policy) in policies {
        for rule in items(policy, &list) {
            for peer in items(rule, peers).iter().map(|peer| text(peer, COMPONENT)) {
                let (from, to) = if turned {
                    (peer, own.as_str())
                } else {
                    (own.as_str(), peer)
                };
                let called = parts.get(to).map(|to| to.config.services.listen.port());
                if !peer.is_empty() && called.is_some_and(|port| has_port(rule, port)) {
                    allowed.insert((from.to_owned(), to.to_owned()));
                }
            }
        }
    }
    allowed
}

/// Databases, bus, collector, Prometheus, the outside.
fn surroundings(
    policies: &BTreeMap<String, &Value>,
    parts: &BTreeMap<String, Understood>,
    problems: &mut Problems,
) {
    let mut need = |pod: &str, words: &str, kept: bool| {
        problems.unless(kept, || format!("network policy: {pod}: {words}"));
    };
    for part in Part::value_variants() {
        let name = part.to_possible_value().unwrap();
        let name = name.get_name();
        let (Some(policy), Some(understood)) = (policies.get(name), parts.get(name)) else {
            continue;
        };
        if *part != Part::Edge {
            need(name, "no way to PostgreSQL", leaves(policy, POSTGRESQL));
            need(name, "no way to NATS", leaves(policy, NATS));
        }
        for listener in understood.listeners().iter().filter(|one| one.probes) {
            let port = listener.address.port();
            need(
                name,
                "Prometheus is shut out",
                enters(policy, "monitoring", port),
            );
        }
        if *part == Part::Edge {
            for listener in understood.listeners() {
                let port = listener.address.port();
                need(
                    name,
                    "the ingress must reach what people use, and nothing else",
                    enters(policy, "ingress", port) != listener.probes,
                );
            }
        }
    }
    for (pod, port) in [
        ("registration", HTTPS),
        ("gateway", HTTPS),
        ("notification", SMTPS),
        ("migrate", POSTGRESQL),
    ] {
        let policy = policies.get(pod);
        let leaves = policy.is_some_and(|policy| leaves(policy, port));
        need(pod, &format!("no way out at {port}"), leaves);
    }
}

/// Whether a policy lets out at a port, to others than Portico's own pods.
fn leaves(policy: &Value, port: u16) -> bool {
    let rules = items(policy, "/spec/egress").iter();
    let outside = |rule: &&Value| {
        items(rule, "/to")
            .iter()
            .all(|to| to.get("podSelector").is_none())
    };
    rules.filter(outside).any(|rule| has_port(rule, port))
}

/// Whether it lets in at a port from a namespace whose name begins so.
fn enters(policy: &Value, namespace: &str, port: u16) -> bool {
    items(policy, "/spec/ingress").iter().any(|rule| {
        let mut from = items(rule, "/from").iter();
        from.any(|from| text(from, NAMESPACE).starts_with(namespace)) && has_port(rule, port)
    })
}

fn has_port(rule: &Value, port: u16) -> bool {
    let port = u64::from(port);
    items(rule, "/ports").iter().any(|one| {
        let first = one["port"].as_u64().unwrap_or_default();
        (first..=one["endPort"].as_u64().unwrap_or(first)).contains(&port)
    })
}
