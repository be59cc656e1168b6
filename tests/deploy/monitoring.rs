//! The dashboard and the alert rules are whole. That their numbers are there is a journey (`metrics`), and the
//! expressions are read by promtool in `.ci/run`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    files::{Repository, items, text},
    problems::Problems,
};

const DASHBOARD: &str = "deploy/grafana/portico.json";
const ALERTS: &str = "deploy/prometheus/alerts.yml";
/// What to do about each alert.
const RUNBOOK: &str = "docs/run/alerts";
/// Columns of a dashboard.
const WIDTH: u64 = 24;

pub fn dashboard(repository: &Repository, problems: &mut Problems) {
    let dashboard = serde_json::from_str(&repository.text(DASHBOARD));
    let Some(dashboard) = problems.good::<Value>(DASHBOARD, dashboard) else {
        return;
    };
    let mut ids = BTreeSet::new();
    for panel in items(&dashboard, "/panels") {
        let at = format!("{DASHBOARD}: {:?}", text(panel, "/title"));
        problems.unless(ids.insert(panel["id"].as_u64()), || {
            format!("{at}: another panel has its id")
        });
        let place = |member: &str| panel["gridPos"][member].as_u64().unwrap_or(WIDTH + 1);
        problems.unless(place("x") + place("w") <= WIDTH, || {
            format!("{at}: is wider than the dashboard")
        });
        if text(panel, "/type") == "row" {
            continue;
        }
        let targets = items(panel, "/targets");
        let asks = |target: &Value| {
            !text(target, "/expr").is_empty() && text(target, "/datasource/uid") == "${datasource}"
        };
        problems.unless(!targets.is_empty() && targets.iter().all(asks), || {
            format!("{at}: asks for nothing, or asks another data source")
        });
    }
    problems.unless(ids.len() > 1, || format!("{DASHBOARD}: no panels"));
}

pub fn alerts(repository: &Repository, problems: &mut Problems) {
    let mut names = BTreeSet::new();
    for file in repository.yaml(ALERTS, problems) {
        let groups = items(&file, "/groups").iter();
        for rule in groups.flat_map(|group| items(group, "/rules")) {
            let name = text(rule, "/alert").to_owned();
            let at = format!("{ALERTS}: {name:?}");
            for member in ["/expr", "/annotations/summary"] {
                let given = !text(rule, member).is_empty();
                problems.unless(given, || format!("{at}: no {member}"));
            }
            let severity = text(rule, "/labels/severity");
            problems.unless(matches!(severity, "critical" | "warning" | "info"), || {
                format!("{at}: severity {severity:?}")
            });
            let page = format!("{RUNBOOK}/{name}.md");
            let named = text(rule, "/annotations/runbook_url") == page;
            problems.unless(named && repository.path(&page).is_file(), || {
                format!("{at}: its runbook_url is not {page}, or nothing is there")
            });
            let new = names.insert(name);
            problems.unless(new, || format!("{at}: is there twice"));
        }
    }
    problems.unless(!names.is_empty(), || format!("{ALERTS}: no rules"));
    for page in repository.files(RUNBOOK) {
        let name = page
            .rsplit('/')
            .next()
            .and_then(|file| file.strip_suffix(".md"));
        let known = name.is_some_and(|name| names.contains(name));
        problems.unless(known, || format!("{page}: there is no such alert"));
    }
}
