//! How many replicas there are, where they stand, and that Prometheus finds them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    files::{Repository, items, text},
    helm::CHART,
    problems::Problems,
    program::Understood,
    workloads::{World, number},
};

const LABELS: &str = "/spec/template/metadata/labels";

/// At least two replicas, a budget that keeps one and lets one go, spread over zones and nodes.
pub fn check(world: &World<'_>, deployment: &Value, name: &str, problems: &mut Problems) {
    let at = format!("deployment {name}");
    let labels = deployment.pointer(LABELS);
    let replicas = match world.objects.named("HorizontalPodAutoscaler", name) {
        None => number(deployment, "/spec/replicas"),
        Some(autoscaler) => autoscaled(autoscaler, deployment, name, problems),
    };
    problems.unless(replicas >= 2, || format!("{at}: {replicas} replicas"));
    let budget = world.objects.named("PodDisruptionBudget", name);
    let kept = budget.is_some_and(|budget| {
        let left = number(budget, "/spec/minAvailable");
        budget.pointer("/spec/selector/matchLabels") == labels && (1..replicas).contains(&left)
    });
    problems.unless(kept, || {
        format!("{at}: no disruption budget that keeps one and lets one go")
    });
    let spreads = items(deployment, "/spec/template/spec/topologySpreadConstraints").iter();
    let spread: BTreeSet<&str> = spreads
        .filter(|spread| spread.pointer("/labelSelector/matchLabels") == labels)
        .map(|spread| text(spread, "/topologyKey"))
        .collect();
    let wanted = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"];
    problems.unless(spread == BTreeSet::from(wanted), || {
        format!("{at}: its replicas are not spread: {spread:?}")
    });
}

/// The least number of replicas.
fn autoscaled(autoscaler: &Value, deployment: &Value, name: &str, problems: &mut Problems) -> u64 {
    let at = format!("autoscaler {name}");
    let target = ["kind", "name"].map(|member| {
        let pointer = format!("/spec/scaleTargetRef/{member}");
        text(autoscaler, &pointer).to_owned()
    });
    problems.unless(target == ["Deployment", name], || {
        format!("{at}: scales {target:?}")
    });
    // Helm would otherwise undo at each upgrade what the autoscaler did.
    problems.unless(deployment.pointer("/spec/replicas").is_none(), || {
        format!("{at}: the deployment has a number of its own")
    });
    let (least, most) = (
        number(autoscaler, "/spec/minReplicas"),
        number(autoscaler, "/spec/maxReplicas"),
    );
    problems.unless(least < most, || format!("{at}: from {least} to {most}"));
    let metrics = items(autoscaler, "/spec/metrics").iter();
    let mut kinds = metrics.map(|metric| text(metric, "/type"));
    problems.unless(kinds.any(|kind| kind == "Resource"), || {
        format!("{at}: does not look at the processor")
    });
    least
}

/// The monitor, where there is one, finds the numbers of a service, under a job that the alerts know.
pub fn scraped(world: &World<'_>, name: &str, understood: &Understood, problems: &mut Problems) {
    let Some(service) = world.objects.named("Service", name) else {
        return;
    };
    for monitor in world.objects.of_kind("ServiceMonitor") {
        let at = format!("service monitor: {name}");
        let wanted = monitor.pointer("/spec/selector/matchLabels");
        let wanted = wanted.and_then(Value::as_object).into_iter().flatten();
        let labels = &service["metadata"]["labels"];
        let found = wanted.clone().count() > 0 && { wanted }
            .all(|(label, value)| labels.get(label) == Some(value));
        problems.unless(found, || format!("{at}: does not select the service"));
        let ports = items(service, "/spec/ports");
        let mut scraped = 0;
        for endpoint in items(monitor, "/spec/endpoints") {
            let mut ports = ports.iter();
            let Some(port) = ports.find(|port| port["name"] == endpoint["port"]) else {
                continue;
            };
            scraped += 1;
            let number = port["port"].as_u64().and_then(|port| port.try_into().ok());
            understood.check_probe(
                &at,
                number.unwrap_or_default(),
                text(endpoint, "/path"),
                problems,
            );
            // Otherwise the label `service` of our own numbers becomes `exported_service`.
            problems.unless(endpoint["honorLabels"] == true, || {
                format!("{at}: overwrites our own labels")
            });
            let relabelings = items(endpoint, "/relabelings").iter();
            let mut jobs = relabelings.filter(|one| text(one, "/targetLabel") == "job");
            let known = jobs.any(|one| text(one, "/replacement").starts_with("portico"));
            problems.unless(known, || format!("{at}: the alerts do not know its job"));
        }
        problems.unless(scraped == 1, || format!("{at}: is scraped {scraped} times"));
    }
}

/// The rules of the operator are those of Prometheus' own file.
pub fn alerts(world: &World<'_>, problems: &mut Problems) {
    let file = Repository::ours().text("deploy/prometheus/alerts.yml");
    let file: Value = serde_saphyr::from_str(&file).unwrap();
    for rule in world.objects.of_kind("PrometheusRule") {
        problems.unless(rule["spec"] == file, || {
            "the alert rules are not those of deploy/prometheus/alerts.yml".to_owned()
        });
    }
}

/// The chart installs the release that it is in.
pub fn installs_this_release(repository: &Repository, problems: &mut Problems) {
    let chart = repository.yaml(&format!("{CHART}/Chart.yaml"), problems);
    let release = chart.first().map(|chart| text(chart, "/appVersion"));
    let program = env!("CARGO_PKG_VERSION");
    problems.unless(release == Some(program), || {
        format!("{CHART}: appVersion {release:?} is not {program}")
    });
}
