//! What comments, scripts and instructions say: variables that the program knows, command lines that it takes.

use crate::{
    files::Repository,
    helm::{self, VALUES},
    problems::Problems,
    program::{self, command},
};

/// Instructions whose command lines are tried.
const INSTRUCTIONS: [&str; 6] = [
    "deploy/README.md",
    "docs/run/compose.md",
    "docs/run/kubernetes.md",
    "deploy/postgres/roles.sh",
    "docs/run/operating.md",
    "docs/run/backup.md",
];
const ID: &str = "0190a6f0-0000-7000-8000-000000000000";

/// Every file here is checked by something.
pub fn every_file_is_known(repository: &Repository, problems: &mut Problems) {
    let known = [
        "deploy/Dockerfile",
        "deploy/README.md",
        "deploy/compose/.gitignore",
        "deploy/compose/secrets.sh",
        "deploy/compose/seed.sh",
        "deploy/compose/up.sh",
        "deploy/grafana/portico.json",
        "deploy/nats/nats-server.conf",
        "deploy/postgres/roles.sh",
        "deploy/prometheus/alerts.yml",
    ];
    for file in repository.files("deploy") {
        let checked = match file.strip_prefix("deploy/helm/portico/ci/") {
            Some(_) => VALUES.map(helm::file).contains(&file),
            None => known.contains(&file.as_str()) || file.starts_with(helm::CHART),
        };
        problems.unless(checked, || format!("{file}: no test looks at it"));
    }
}

pub fn variables(repository: &Repository, problems: &mut Problems) {
    for file in repository.deployment() {
        let text = repository.text(&file);
        let words =
            text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
        // One that ends with `_` is a pattern.
        let names = words.filter(|word| word.starts_with("PORTICO_") && !word.ends_with('_'));
        for name in names {
            let fine = program::knows(name) || is_of_others(name);
            problems.unless(fine, || format!("{file}: the program knows no {name}"));
        }
    }
}

/// Of docker-compose.yml itself, and of nats-server.conf.
fn is_of_others(name: &str) -> bool {
    name == "PORTICO_IMAGE"
}

pub fn command_lines(repository: &Repository, problems: &mut Problems) {
    for file in INSTRUCTIONS {
        let text = repository.text(file);
        let mut fenced = false;
        for line in text.lines() {
            fenced ^= line.starts_with("```");
            let lines: Vec<&str> = match fenced {
                true => vec![line],
                false => line.split('`').skip(1).step_by(2).collect(),
            };
            for line in lines {
                if let Some(rest) = line.trim().strip_prefix("portico ") {
                    try_line(file, rest, problems);
                }
            }
        }
    }
}

fn try_line(file: &str, line: &str, problems: &mut Problems) {
    let line = line.split(" #").next().unwrap_or_default();
    let line = line.replace("$(date +%F)", "today");
    let words: Vec<&str> = line
        .split_whitespace()
        .map(|word| match word {
            "ID" => ID,
            "URL" => "http://127.0.0.1:3000/readyz",
            other => other,
        })
        .collect();
    // In a sentence a command may stand for itself.
    if let [name] = words.as_slice()
        && program::has_command(name)
    {
        return;
    }
    if let Err(error) = command(&words) {
        problems.say(format!("{file}: {error}"));
    }
}

/// Files that are spoken of are there.
pub fn references(repository: &Repository, problems: &mut Problems) {
    let ours = Repository::ours();
    for file in repository.deployment() {
        let (folder, _) = file.rsplit_once('/').unwrap_or_default();
        let text = repository.text(&file);
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "._-/".contains(c)));
        let words = words.map(|word| word.trim_matches('.'));
        let paths = words.filter(|word| {
            let (name, kind) = word.rsplit_once('.').unwrap_or_default();
            !name.is_empty() && ["md", "rs", "sh", "toml", "yaml", "yml"].contains(&kind)
        });
        // What begins with `/` is in a container.
        for path in paths.filter(|path| !path.starts_with('/')) {
            let roots = [
                "",
                "deploy/",
                "deploy/helm/portico/",
                &format!("{folder}/"),
                "crates/runtime/src/",
            ];
            let there = roots
                .iter()
                .any(|root| ours.path(&format!("{root}{path}")).exists());
            problems.unless(there, || {
                format!("{file}: speaks of {path}, which is not there")
            });
        }
    }
}
