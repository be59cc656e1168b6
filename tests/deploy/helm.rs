//! What Helm makes of the chart, with each file of values in its folder `ci`.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use portico_trials::{Server, in_path};
use serde_json::Value;

use crate::{
    files::{Repository, items, text},
    problems::Problems,
};

pub const CHART: &str = "deploy/helm/portico";
/// The release of Kubernetes that it is rendered for, and whose schemas `install` fetches.
const KUBERNETES: &str = "1.33.0";

pub const HELM: Server = Server {
    name: "Helm",
    missing: || (!in_path("helm")).then_some("helm not found (tests/deploy/install)"),
};

pub const KUBECONFORM: Server = Server {
    name: "kubeconform",
    missing: || {
        let found = in_path("kubeconform") && schemas().is_dir();
        (!found).then_some("kubeconform or its schemas not found (tests/deploy/install)")
    },
};

pub const PROMTOOL: Server = Server {
    name: "promtool",
    missing: || (!in_path("promtool")).then_some("promtool not found (of Debian's prometheus)"),
};

const PAGE: &str = "docs/run/kubernetes.md";

fn schemas() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/schemas")
}

/// The files of values, by their names.
pub const VALUES: [&str; 3] = ["minimal", "production", "external-secrets"];

/// Where a file of values is.
pub fn file(values: &str) -> String {
    format!("{CHART}/ci/{values}-values.yaml")
}

/// What `helm template` prints; what it says of an error.
pub fn template(
    repository: &Repository,
    values: &str,
    arguments: &[&str],
) -> Result<String, String> {
    let mut helm = helm(repository, &["template", "portico"], values);
    let output = helm
        .args(["--namespace", "portico", "--kube-version", KUBERNETES])
        .args(arguments);
    said(&output.output().unwrap())
}

fn helm(repository: &Repository, command: &[&str], values: &str) -> Command {
    let mut helm = Command::new("helm");
    helm.args(command)
        .arg(repository.path(CHART))
        .arg("--values")
        .arg(repository.path(&file(values)));
    helm
}

fn said(output: &Output) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stdout) + &text(&output.stderr)),
    }
}

/// The objects of a rendered chart.
pub struct Objects(pub Vec<Value>);

impl Objects {
    /// Renders it with a file of values.
    pub fn of(repository: &Repository, values: &str, problems: &mut Problems) -> Self {
        let rendered = template(repository, values, &[]);
        let rendered = problems.good(values, rendered).unwrap_or_default();
        let objects = serde_saphyr::from_multiple(&rendered);
        let mut objects: Vec<Value> = problems.good(values, objects).unwrap_or_default();
        objects.retain(|object| !object.is_null());
        let mut names = BTreeSet::new();
        for object in &objects {
            let name = (text(object, "/kind"), text(object, "/metadata/name"));
            problems.unless(!name.0.is_empty() && !name.1.is_empty(), || {
                format!("{values}: an object without kind or name")
            });
            problems.unless(names.insert(name), || {
                format!("{values}: {name:?} is there twice")
            });
        }
        Self(objects)
    }

    pub fn named(&self, kind: &str, name: &str) -> Option<&Value> {
        self.of_kind(kind)
            .find(|object| text(object, "/metadata/name") == name)
    }

    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        let objects = self.0.iter();
        objects.filter(move |object| text(object, "/kind") == kind)
    }
}

/// The containers of a workload.
pub fn containers(workload: &Value) -> &[Value] {
    items(workload, "/spec/template/spec/containers")
}

/// Those that need no cluster.
pub fn commands_of_the_page_work() {
    let ours = Repository::ours();
    let page = ours.text(PAGE);
    let commands: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("helm lint ") || line.starts_with("helm template "))
        .collect();
    assert_eq!(commands.len(), 2, "commands in {PAGE}");
    for line in commands {
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(ours.path(""))
            .output();
        said(&output.unwrap()).unwrap_or_else(|words| panic!("{line}: {words}"));
    }
}

pub fn prometheus_takes_the_scrape_configuration_of_the_page() {
    let page = Repository::ours().text(PAGE);
    let blocks = page.split("```yaml\n").skip(1);
    let mut blocks = blocks.map(|rest| rest.split("```").next().unwrap_or_default());
    let config = blocks.find(|block| block.starts_with("scrape_configs:"));
    // Debian builds its promtool without the discovery in Kubernetes.
    let discovery = ["kubernetes_sd_configs:", "- role:", "namespaces:"];
    let lines = config.unwrap().lines().filter(|line| {
        let mut words = discovery.iter();
        !words.any(|word| line.trim_start().starts_with(word))
    });
    let config = lines.collect::<Vec<_>>().join("\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config).unwrap();
    let mut promtool = Command::new("promtool");
    let output = promtool.args(["check", "config"]).arg(file.path()).output();
    said(&output.unwrap()).unwrap();
}

pub fn helm_lints_the_chart() {
    let ours = Repository::ours();
    for values in VALUES {
        let output = helm(&ours, &["lint", "--strict"], values).output();
        if let Err(words) = said(&output.unwrap()) {
            panic!("{values}: {words}");
        }
    }
}

/// Every object is what the API of Kubernetes and the Prometheus operator take, without a member that they do not know.
pub fn kubernetes_takes_the_objects() {
    let ours = Repository::ours();
    for values in VALUES {
        let rendered = template(&ours, values, &[]).unwrap();
        conforms(&rendered).unwrap_or_else(|words| panic!("{values}: {words}"));
        let unknown = rendered.replace("maxSurge:", "maxSurges:");
        assert!(conforms(&unknown).is_err(), "{values}: read loosely");
    }
}

fn conforms(objects: &str) -> Result<String, String> {
    let location = schemas().join("{{.ResourceKind}}{{.KindSuffix}}.json");
    let mut kubeconform = Command::new("kubeconform")
        .args(["-strict", "-kubernetes-version", KUBERNETES])
        .arg("-schema-location")
        .arg(location)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = kubeconform.stdin.take().unwrap();
    input.write_all(objects.as_bytes()).unwrap();
    drop(input);
    said(&kubeconform.wait_with_output().unwrap())
}
