//! The objects of the chart: every part runs as the program can run, without rights, in replicas that are probed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use clap::ValueEnum as _;
use portico::{cli::Command, run::parts::Part};
use portico_runtime::ServiceName;
use serde_json::Value;

use crate::{
    files::{Repository, items, text},
    helm::{Objects, containers},
    images::{self, Image},
    ingress, network,
    problems::Problems,
    program::{Process, Understood},
    scaling, secrets,
};

/// What the chart gives only where it is switched on, as `production` does.
const OPTIONAL: [&str; 4] = [
    "HorizontalPodAutoscaler",
    "Ingress",
    "PrometheusRule",
    "ServiceMonitor",
];
const LABELS: &str = "/spec/template/metadata/labels";

/// What the objects refer to.
pub struct World<'a> {
    pub objects: &'a Objects,
    secrets: BTreeMap<String, BTreeSet<String>>,
    image: Image,
}

pub fn check(repository: &Repository, values: &str, problems: &mut Problems) {
    let objects = Objects::of(repository, values, problems);
    let world = World {
        secrets: secrets::of_a_cluster(repository),
        image: images::of_dockerfile(repository, problems),
        objects: &objects,
    };
    rendered(&world, problems);
    for kind in OPTIONAL {
        let there = values != "production" || objects.of_kind(kind).next().is_some();
        problems.unless(there, || format!("{values}: no {kind}"));
    }
    scaling::installs_this_release(repository, problems);
}

fn rendered(world: &World<'_>, problems: &mut Problems) {
    let mut ports = BTreeMap::new();
    for part in Part::value_variants() {
        if *part != Part::All {
            let name = part.to_possible_value().unwrap();
            let name = name.get_name().to_owned();
            if let Some(understood) = deployment(world, *part, &name, problems) {
                ports.insert(name, understood);
            }
        }
    }
    addresses(&ports, world.objects, problems);
    migration(world, problems);
    ingress::check(world, &ports, problems);
    scaling::alerts(world, problems);
    network::check(world.objects, &ports, problems);
}

/// A part: deployment, service, disruption budget.
fn deployment(
    world: &World<'_>,
    part: Part,
    name: &str,
    problems: &mut Problems,
) -> Option<Understood> {
    let Some(deployment) = world.objects.named("Deployment", name) else {
        problems.say(format!("no deployment {name}"));
        return None;
    };
    let at = format!("deployment {name}");
    let labels = deployment.pointer(LABELS);
    let selected = deployment.pointer("/spec/selector/matchLabels");
    problems.unless(labels.is_some() && labels == selected, || {
        format!("{at}: does not select its own pods")
    });
    scaling::check(world, deployment, name, problems);
    let (container, understood) = container(world, deployment, &at, problems)?;
    problems.unless(understood.runs(part), || {
        format!("{at}: does not run {name}")
    });
    understood.check_listeners(&at, problems);
    let grace = number(
        deployment,
        "/spec/template/spec/terminationGracePeriodSeconds",
    );
    understood.check_end(&at, Duration::from_secs(grace), problems);
    let ports = ports(container, &understood, &at, problems);
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let get = |member: &str| text(container, &format!("/{probe}/httpGet/{member}")).to_owned();
        let at = format!("{at}: {probe}");
        match ports.get(get("port").as_str()) {
            Some(port) => understood.check_probe(&at, *port, &get("path"), problems),
            None => problems.say(format!("{at}: no port {:?}", get("port"))),
        }
    }
    service(world, name, labels, &ports, problems);
    scaling::scraped(world, name, &understood, problems);
    Some(understood)
}

/// The only container, with what the program makes of it.
fn container<'a>(
    world: &World<'_>,
    workload: &'a Value,
    at: &str,
    problems: &mut Problems,
) -> Option<(&'a Value, Understood)> {
    let [container] = containers(workload) else {
        problems.say(format!("{at}: not one container"));
        return None;
    };
    images::check_tag(at, text(container, "/image"), problems);
    without_rights(workload, container, at, problems);
    let there = |name: &str| world.objects.named("ServiceAccount", name).is_some();
    let account = text(workload, "/spec/template/spec/serviceAccountName");
    problems.unless(there(account), || format!("{at}: no account {account:?}"));
    let mut variables = world.image.variables.clone();
    for source in items(container, "/envFrom") {
        let name = text(source, "/configMapRef/name");
        match world.objects.named("ConfigMap", name) {
            Some(map) => variables.extend(data(map)),
            None => problems.say(format!("{at}: no config map {name:?}")),
        }
    }
    for variable in items(container, "/env") {
        let secret = "/valueFrom/secretKeyRef";
        let value = match variable.pointer(secret) {
            None => text(variable, "/value").to_owned(),
            Some(secret) => {
                let (name, key) = (text(secret, "/name"), text(secret, "/key"));
                known(world, name, key, at, problems);
                format!("{key}@portal.example.org")
            }
        };
        variables.insert(text(variable, "/name").to_owned(), value);
    }
    mounts(world, workload, container, at, problems);
    let arguments = items(container, "/args").iter();
    let process = Process {
        at: at.to_owned(),
        arguments: arguments
            .filter_map(|word| word.as_str().map(str::to_owned))
            .collect(),
        variables,
        file: &|path| mounted(world, workload, container, path),
    };
    Some((container, process.understood(problems)?))
}

fn data(map: &Value) -> BTreeMap<String, String> {
    let data = map.pointer("/data").cloned().unwrap_or_default();
    serde_json::from_value(data).unwrap_or_default()
}

/// A cluster has to have this secret, says the page about it.
pub fn known(world: &World<'_>, secret: &str, key: &str, at: &str, problems: &mut Problems) {
    let keys = world.secrets.get(own(secret));
    problems.unless(keys.is_some_and(|keys| keys.contains(key)), || {
        format!("{at}: docs/run/kubernetes.md has no secret {secret} with {key}")
    });
}

/// The name that the chart gives a secret by itself; `external-secrets-values.yaml` has others.
fn own(secret: &str) -> &str {
    secret.strip_prefix("vault-").unwrap_or(secret)
}

/// Volumes that are mounted are there, and hold secrets that a cluster has to have.
fn mounts(
    world: &World<'_>,
    workload: &Value,
    container: &Value,
    at: &str,
    problems: &mut Problems,
) {
    let mounted: BTreeSet<&str> = items(container, "/volumeMounts")
        .iter()
        .map(|mount| text(mount, "/name"))
        .collect();
    let volumes = items(workload, "/spec/template/spec/volumes");
    let there: BTreeSet<&str> = volumes.iter().map(|volume| text(volume, "/name")).collect();
    problems.unless(mounted == there, || {
        format!("{at}: volumes {there:?}, mounted {mounted:?}")
    });
    for volume in volumes {
        let secret = text(volume, "/secret/secretName");
        let fine = match volume.get("secret") {
            Some(_) => world.secrets.contains_key(own(secret)),
            None => volume.get("emptyDir").is_some(),
        };
        problems.unless(fine, || {
            format!("{at}: docs/run/kubernetes.md has no secret {secret:?}")
        });
    }
}

/// An example of a mounted secret, by its path in the container.
fn mounted(world: &World<'_>, workload: &Value, container: &Value, path: &str) -> Option<PathBuf> {
    let (folder, key) = path.rsplit_once('/')?;
    let mount = items(container, "/volumeMounts")
        .iter()
        .find(|mount| text(mount, "/mountPath") == folder)?;
    let volume = items(workload, "/spec/template/spec/volumes")
        .iter()
        .find(|volume| text(volume, "/name") == text(mount, "/name"))?;
    let secret = own(text(volume, "/secret/secretName"));
    let keys = world.secrets.get(secret)?;
    keys.contains(key).then(|| secrets::example(secret, key))?
}

fn without_rights(workload: &Value, container: &Value, at: &str, problems: &mut Problems) {
    let pod = workload.pointer("/spec/template/spec");
    let pod = pod.cloned().unwrap_or_default();
    let is = |value: &Value, pointer: &str, wanted: Value| value.pointer(pointer) == Some(&wanted);
    let rules = [
        ("runs as root", {
            is(&pod, "/securityContext/runAsNonRoot", true.into())
                && number(&pod, "/securityContext/runAsUser") > 0
        }),
        (
            "has no seccomp profile",
            text(&pod, "/securityContext/seccompProfile/type") == "RuntimeDefault",
        ),
        (
            "has a token of the cluster",
            is(&pod, "/automountServiceAccountToken", false.into()),
        ),
        (
            "can get privileges",
            is(
                container,
                "/securityContext/allowPrivilegeEscalation",
                false.into(),
            ),
        ),
        (
            "can write",
            is(
                container,
                "/securityContext/readOnlyRootFilesystem",
                true.into(),
            ),
        ),
        (
            "has capabilities",
            is(
                container,
                "/securityContext/capabilities/drop",
                vec!["ALL"].into(),
            ),
        ),
        (
            "has no limit of memory",
            !text(container, "/resources/limits/memory").is_empty(),
        ),
    ];
    for (words, kept) in rules {
        problems.unless(kept, || format!("{at}: {words}"));
    }
}

/// The ports by name: those that the program listens at.
fn ports<'a>(
    container: &'a Value,
    understood: &Understood,
    at: &str,
    problems: &mut Problems,
) -> BTreeMap<&'a str, u16> {
    let ports: BTreeMap<&str, u16> = items(container, "/ports")
        .iter()
        .map(|port| (text(port, "/name"), port_number(port, "/containerPort")))
        .collect();
    let named: BTreeSet<u16> = ports.values().copied().collect();
    let listened: BTreeSet<u16> = understood
        .listeners()
        .iter()
        .map(|listener| listener.address.port())
        .collect();
    problems.unless(named == listened, || {
        format!("{at}: listens at {listened:?} and names {named:?}")
    });
    ports
}

/// A service of the name leads to the pods.
fn service(
    world: &World<'_>,
    name: &str,
    labels: Option<&Value>,
    ports: &BTreeMap<&str, u16>,
    problems: &mut Problems,
) {
    let at = format!("service {name}");
    let Some(service) = world.objects.named("Service", name) else {
        problems.say(format!("no {at}"));
        return;
    };
    problems.unless(service.pointer("/spec/selector") == labels, || {
        format!("{at}: does not select the pods of {name}")
    });
    for port in items(service, "/spec/ports") {
        let target = ports.get(text(port, "/targetPort"));
        problems.unless(target == Some(&port_number(port, "/port")), || {
            format!("{at}: nothing listens at {port}")
        });
    }
}

/// Services look for each other where they are.
fn addresses(ports: &BTreeMap<String, Understood>, objects: &Objects, problems: &mut Problems) {
    for (name, understood) in ports {
        for service in ServiceName::ALL {
            for url in understood.config.services.addresses(service) {
                let host = url.host_str().unwrap_or_default();
                let listens = ports
                    .get(host)
                    .is_some_and(|other| Some(other.config.services.listen.port()) == url.port());
                let right =
                    host == service.as_str() && listens && objects.named("Service", host).is_some();
                problems.unless(right, || {
                    format!("{name}: {} does not listen at {url}", service.as_str())
                });
            }
        }
    }
}

/// One job brings every schema up to date, before an installation and before each upgrade.
fn migration(world: &World<'_>, problems: &mut Problems) {
    let jobs: Vec<&Value> = world.objects.of_kind("Job").collect();
    let [job] = jobs.as_slice() else {
        problems.say("not one job");
        return;
    };
    let at = format!("job {}", text(job, "/metadata/name"));
    let Some((_, understood)) = container(world, job, &at, problems) else {
        return;
    };
    let all = matches!(&understood.command, Command::Migrate { service } if service.is_empty());
    problems.unless(all, || format!("{at}: does not migrate every service"));
    let database = understood.config.database_url.is_some();
    problems.unless(database, || format!("{at}: has no database"));
    let hook = |object: &Value, name: &str| {
        let pointer = format!("/metadata/annotations/helm.sh~1hook{name}");
        text(object, &pointer).to_owned()
    };
    let weight = |object: &Value| hook(object, "-weight").parse().unwrap_or(i32::MAX);
    problems.unless(hook(job, "") == "pre-install,pre-upgrade", || {
        format!("{at}: does not run before a release")
    });
    // A job cannot be changed.
    problems.unless(
        hook(job, "-delete-policy").contains("before-hook-creation"),
        || format!("{at}: the former one stays in the way"),
    );
    let account = text(job, "/spec/template/spec/serviceAccountName");
    let account = world.objects.named("ServiceAccount", account);
    let before = account
        .is_some_and(|account| hook(account, "") == hook(job, "") && weight(account) < weight(job));
    problems.unless(before, || format!("{at}: runs before its account is there"));
    let restarts = text(job, "/spec/template/spec/restartPolicy");
    problems.unless(restarts == "Never", || format!("{at}: restarts {restarts}"));
}

pub fn number(value: &Value, pointer: &str) -> u64 {
    let number = value.pointer(pointer).and_then(Value::as_u64);
    number.unwrap_or_default()
}

pub fn port_number(value: &Value, pointer: &str) -> u16 {
    number(value, pointer).try_into().unwrap_or_default()
}
