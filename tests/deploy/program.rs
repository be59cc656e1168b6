//! The program as it is: its command line, its configuration, its listeners and what it answers probes.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Mutex, time::Duration};

use axum::body::Body;
use clap::{CommandFactory as _, Parser as _};
use http::{Request, StatusCode};
use portico::{
    cli::{Arguments, Command},
    run::parts::{Part, Parts},
};
use portico_runtime::{Config, Health};
use tower::ServiceExt as _;

use crate::problems::Problems;

/// Commands that ask a running portal, and want a token for it.
const ASKING: [&str; 4] = ["parked", "drift", "orphans", "check-provider"];

/// The subcommand, by the program's own parser; `words` is what comes after `portico`.
pub fn command(words: &[&str]) -> Result<Command, String> {
    let mut line = vec!["portico"];
    line.extend(words);
    if words.first().is_some_and(|word| ASKING.contains(word)) {
        line.splice(2..2, ["--token", "token"]);
    }
    let parsed = Arguments::try_parse_from(&line);
    parsed
        .map(|arguments| arguments.command)
        .map_err(|error| format!("`{}`: {error}", line.join(" ")))
}

/// A process as a file of `deploy/` starts it.
pub struct Process<'a> {
    /// For people: where that stands.
    pub at: String,
    /// After the name of the program.
    pub arguments: Vec<String>,
    pub variables: BTreeMap<String, String>,
    /// Where a file of the container is here.
    pub file: &'a dyn Fn(&str) -> Option<PathBuf>,
}

/// What the program makes of it.
pub struct Understood {
    pub command: Command,
    pub config: Config,
    /// What variables say, or the files that they name.
    pub values: BTreeMap<String, String>,
}

impl Process<'_> {
    /// Has the program read command line and configuration.
    pub fn understood(&self, problems: &mut Problems) -> Option<Understood> {
        let words: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let command = problems.good(&self.at, command(&words))?;
        let mut variables = self.variables.clone();
        let mut values = self.variables.clone();
        for (name, value) in &mut variables {
            if !name.ends_with("_FILE") || value.is_empty() {
                continue;
            }
            let Some(file) = (self.file)(value) else {
                problems.say(format!("{}: {name}: {value} is not there", self.at));
                continue;
            };
            *value = file.display().to_string();
            let text = std::fs::read_to_string(file).unwrap_or_default();
            values.insert(name.clone(), text);
        }
        let config = problems.good(&self.at, Config::from_parts(None, variables))?;
        let understood = Understood {
            command,
            config,
            values,
        };
        if let Some(parts) = understood.parts() {
            let checked = understood.config.check_separate(&parts.services);
            problems.good(&self.at, checked);
        }
        Some(understood)
    }
}

/// Where a process listens.
pub struct Listener {
    pub address: SocketAddr,
    /// Whether `/healthz`, `/readyz` and `/metrics` are there.
    pub probes: bool,
}

impl Understood {
    /// What it runs, where that is not everything.
    pub fn parts(&self) -> Option<Parts> {
        match &self.command {
            Command::Run { parts } => Parts::of(parts),
            _ => None,
        }
    }

    /// Whether it runs this part alone.
    pub fn runs(&self, wanted: Part) -> bool {
        matches!(&self.command, Command::Run { parts } if parts == &[wanted])
    }

    pub fn listeners(&self) -> Vec<Listener> {
        let Some(parts) = self.parts() else {
            return Vec::new();
        };
        let mut addresses = vec![self.config.probes(parts.edge)];
        if !parts.services.is_empty() {
            addresses.push(self.config.services.listen);
        }
        if parts.edge {
            addresses.extend([self.config.listen, self.config.grpc.listen]);
        }
        let probes = addresses[0];
        addresses.sort_unstable();
        addresses.dedup();
        let listener = |address| Listener {
            address,
            probes: address == probes,
        };
        addresses.into_iter().map(listener).collect()
    }

    /// What it listens on can be reached from outside its container.
    pub fn check_listeners(&self, at: &str, problems: &mut Problems) {
        for Listener { address, .. } in self.listeners() {
            problems.unless(address.ip().is_unspecified(), || {
                format!("{at}: {address} cannot be reached from outside the container")
            });
        }
    }

    /// Whether a probe is answered at a port and path.
    pub fn check_probe(&self, at: &str, port: u16, path: &str, problems: &mut Problems) {
        let listeners = self.listeners();
        let there = listeners
            .iter()
            .any(|listener| listener.probes && listener.address.port() == port);
        problems.unless(there, || format!("{at}: no probes at port {port}"));
        problems.unless(answers(path), || format!("{at}: no answer at {path}"));
    }

    /// Its end fits into what an orchestrator gives it.
    pub fn check_end(&self, at: &str, given: Duration, problems: &mut Problems) {
        let needed = self.config.shutdown_notice + self.config.shutdown_deadline;
        problems.unless(given > needed, || {
            format!("{at}: has {given:?} to end and may need {needed:?}")
        });
    }
}

/// Whether the routes for probes have this path.
fn answers(path: &str) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(async {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = Health::default().routes().oneshot(request).await.unwrap();
        answer.status() != StatusCode::NOT_FOUND
    })
}

/// Whether a variable is one that the program knows; its value may be wrong.
pub fn knows(variable: &str) -> bool {
    static ASKED: Mutex<BTreeMap<String, bool>> = Mutex::new(BTreeMap::new());
    let mut asked = ASKED.lock().unwrap();
    let name = variable.to_owned();
    *asked.entry(name).or_insert_with(|| {
        let read = Config::from_parts(None, [(variable, "/")]);
        let errors = read.map_or_else(|errors| errors.0, |_| Vec::new());
        let mut errors = errors.iter();
        !errors.any(|error| error.message.starts_with("there is no such key"))
    })
}

/// Whether there is a subcommand of this name.
pub fn has_command(name: &str) -> bool {
    Arguments::command().find_subcommand(name).is_some()
}
