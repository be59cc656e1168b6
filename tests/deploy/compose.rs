//! `docker-compose.yml`: what is in it, read strictly.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    files::Repository,
    images::Image,
    problems::Problems,
    program::{Process, Understood},
    secrets::Made,
};

pub const FILE: &str = "docker-compose.yml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compose {
    #[serde(rename = "name")]
    _name: String,
    pub services: BTreeMap<String, Service>,
    pub networks: BTreeMap<String, Value>,
    pub volumes: BTreeMap<String, Value>,
    pub secrets: BTreeMap<String, SecretFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretFile {
    pub file: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub image: String,
    pub build: Option<Build>,
    pub restart: String,
    #[serde(default)]
    pub read_only: bool,
    #[serde(default)]
    pub cap_drop: Vec<String>,
    #[serde(default)]
    pub security_opt: Vec<String>,
    #[serde(default, rename = "tmpfs")]
    _tmpfs: Vec<String>,
    #[serde(default)]
    pub stop_grace_period: String,
    pub networks: Vec<String>,
    pub healthcheck: Option<Healthcheck>,
    #[serde(default, rename = "entrypoint")]
    _entrypoint: Vec<String>,
    #[serde(default)]
    pub command: Vec<String>,
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    #[serde(default)]
    pub env_file: Vec<String>,
    #[serde(default)]
    pub secrets: Vec<Secret>,
    #[serde(default)]
    pub ports: Vec<String>,
    #[serde(default)]
    pub depends_on: BTreeMap<String, Dependency>,
    #[serde(default)]
    pub volumes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    pub context: String,
    pub dockerfile: String,
    #[serde(default)]
    pub target: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Healthcheck {
    #[serde(default)]
    pub test: Vec<String>,
    #[serde(default)]
    pub disable: bool,
    #[serde(default, rename = "interval")]
    _interval: String,
    #[serde(default, rename = "timeout")]
    _timeout: String,
    #[serde(default, rename = "retries")]
    _retries: u32,
    #[serde(default, rename = "start_period")]
    _start_period: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Secret {
    Name(String),
    Renamed(Renamed),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renamed {
    source: String,
    target: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    pub condition: String,
}

impl Compose {
    pub fn read(repository: &Repository, problems: &mut Problems) -> Option<Self> {
        let mut file = repository.yaml(FILE, problems).into_iter().next()?;
        // Fragments that are only there to be referred to.
        if let Some(file) = file.as_object_mut() {
            file.retain(|name, _| !name.starts_with("x-"));
        }
        problems.good(FILE, serde_json::from_value(file))
    }

    /// The services that run the program, by name.
    pub fn ours(&self) -> impl Iterator<Item = (&String, &Service)> {
        let services = self.services.iter();
        services.filter(|(_, service)| service.image.contains("PORTICO_IMAGE"))
    }

    /// Where a secret of a service is here, by its path in the container.
    fn secret(&self, service: &Service, path: &str) -> Option<PathBuf> {
        let target = path.strip_prefix("/run/secrets/")?;
        let secret = service.secrets.iter().find(|one| one.target() == target)?;
        let file = &self.secrets.get(secret.source())?.file;
        Made::ours().file(file)
    }

    /// What the program makes of a service.
    pub fn understood(
        &self,
        name: &str,
        service: &Service,
        image: &Image,
        problems: &mut Problems,
    ) -> Option<Understood> {
        let mut variables = image.variables.clone();
        let own = service.environment.iter();
        variables.extend(own.map(|(name, value)| (name.clone(), interpolated(value))));
        let process = Process {
            at: format!("{FILE}: {name}"),
            arguments: service.command.clone(),
            variables,
            file: &|path| self.secret(service, path),
        };
        process.understood(problems)
    }
}

impl Service {
    /// How long it has between SIGTERM and SIGKILL.
    pub fn time_to_end(&self) -> Duration {
        let seconds = self.stop_grace_period.trim_end_matches('s').parse();
        Duration::from_secs(seconds.unwrap_or(10))
    }
}

impl Secret {
    pub fn source(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Renamed(renamed) => &renamed.source,
        }
    }

    fn target(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Renamed(renamed) => &renamed.target,
        }
    }
}

/// `${NAME:-default}` is its default, as on a machine where nobody has set anything.
pub fn interpolated(text: &str) -> String {
    let mut rest = text;
    let mut whole = String::new();
    while let Some((before, after)) = rest.split_once("${") {
        let (variable, after) = after.split_once('}').unwrap_or((after, ""));
        whole.push_str(before);
        whole.push_str(variable.split_once(":-").map_or("", |(_, default)| default));
        rest = after;
    }
    whole + rest
}
