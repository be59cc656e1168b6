//! `docker-compose.yml` fits together, and fits the program.

use std::collections::BTreeMap;

use clap::ValueEnum as _;
use portico::{
    cli::Command,
    run::parts::{Part, Parts},
};
use portico_runtime::ServiceName;
use url::Url;

use crate::{
    compose::{Compose, FILE, Service, interpolated},
    files::Repository,
    images::{self, Image},
    problems::Problems,
    program::{self, Understood},
    secrets::Made,
};

pub fn check(repository: &Repository, problems: &mut Problems) {
    let image = images::of_dockerfile(repository, problems);
    let Some(compose) = Compose::read(repository, problems) else {
        return;
    };
    for (name, service) in &compose.services {
        let at = format!("{FILE}: {name}");
        images::check_tag(&at, &interpolated(&service.image), problems);
        references(repository, &compose, &at, service, problems);
        dependencies(&compose, &at, service, problems);
    }
    let mut all = BTreeMap::new();
    for (name, service) in compose.ours() {
        hardening(name, service, problems);
        let Some(understood) = compose.understood(name, service, &image, problems) else {
            continue;
        };
        let at = format!("{FILE}: {name}");
        understood.check_listeners(&at, problems);
        understood.check_end(&at, service.time_to_end(), problems);
        healthcheck(&at, service, &image, &understood, problems);
        published(&at, service, &understood, problems);
        hosts(&compose, &at, &understood, problems);
        exposed(&at, &image, &understood, problems);
        all.insert(name.as_str(), understood);
    }
    complete(&all, problems);
    for (name, understood) in &all {
        neighbours(name, understood, &all, problems);
    }
    host_ports(&compose, problems);
}

/// Networks, volumes, secrets and files are there, or made by the script.
fn references(
    repository: &Repository,
    compose: &Compose,
    at: &str,
    service: &Service,
    problems: &mut Problems,
) {
    let made = Made::ours();
    for network in &service.networks {
        let there = compose.networks.contains_key(network);
        problems.unless(there, || format!("{at}: no network {network}"));
    }
    for secret in &service.secrets {
        let source = secret.source();
        match compose.secrets.get(source) {
            None => problems.say(format!("{at}: no secret {source}")),
            Some(secret) => problems.unless(made.file(&secret.file).is_some(), || {
                format!("{at}: nothing makes {}", secret.file)
            }),
        }
    }
    for file in &service.env_file {
        let there = made.file(file).is_some();
        problems.unless(there, || format!("{at}: nothing makes {file}"));
    }
    for volume in &service.volumes {
        let source = volume.split(':').next().unwrap_or_default();
        let there = match source.starts_with('.') {
            true => repository.path(source).exists(),
            false => compose.volumes.contains_key(source),
        };
        problems.unless(there, || format!("{at}: no volume or file {source}"));
    }
    if let Some(build) = &service.build {
        let there = repository
            .path(&build.context)
            .join(&build.dockerfile)
            .is_file();
        problems.unless(there, || format!("{at}: no {}", build.dockerfile));
        let target = images::stages(repository).contains(&build.target);
        problems.unless(build.target.is_empty() || target, || {
            format!("{at}: no stage {} in {}", build.target, build.dockerfile)
        });
    }
    for (name, value) in &service.environment {
        let Some(url) = value.parse::<Url>().ok().filter(Url::has_host) else {
            continue;
        };
        let host = url.host_str().unwrap_or_default();
        let there = host == "localhost" || compose.services.contains_key(host);
        problems.unless(there, || format!("{at}: {name}: no container {host}"));
    }
}

/// What it waits for is there, and comes to be what it waits for.
fn dependencies(compose: &Compose, at: &str, service: &Service, problems: &mut Problems) {
    for (name, dependency) in &service.depends_on {
        let Some(other) = compose.services.get(name) else {
            problems.say(format!("{at}: depends on {name}, which is not there"));
            continue;
        };
        let comes = match dependency.condition.as_str() {
            "service_started" => true,
            "service_healthy" => {
                let check = other.healthcheck.as_ref();
                check.is_some_and(|check| !check.disable && !check.test.is_empty())
            }
            "service_completed_successfully" => other.restart == "no",
            _ => false,
        };
        problems.unless(comes, || {
            format!("{at}: {name} never becomes {}", dependency.condition)
        });
    }
}

fn hardening(name: &str, service: &Service, problems: &mut Problems) {
    let hardened = service.read_only
        && service.cap_drop == ["ALL"]
        && service.security_opt == ["no-new-privileges:true"];
    problems.unless(hardened, || {
        format!("{FILE}: {name}: can write, has capabilities, or can get privileges")
    });
}

/// The program asks one of the listeners; only what ends by itself has no health.
fn healthcheck(
    at: &str,
    service: &Service,
    image: &Image,
    understood: &Understood,
    problems: &mut Problems,
) {
    let test = service.healthcheck.as_ref().map(|check| &check.test[..]);
    match (&understood.command, test.unwrap_or_default()) {
        (Command::Run { .. }, [kind, program, words @ ..])
            if kind == "CMD" && *program == image.entrypoint =>
        {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            match program::command(&words) {
                Ok(Command::Healthcheck { url }) => {
                    problems.unless(url.host_str() == Some("127.0.0.1"), || {
                        format!("{at}: the healthcheck asks another machine: {url}")
                    });
                    let port = url.port_or_known_default().unwrap_or_default();
                    understood.check_probe(at, port, url.path(), problems);
                }
                Ok(_) => problems.say(format!("{at}: the healthcheck does something else")),
                Err(error) => problems.say(format!("{at}: {error}")),
            }
        }
        (Command::Run { .. }, _) => problems.say(format!("{at}: no healthcheck by the program")),
        _ => {}
    }
}

/// Ports that are published are listened at.
fn published(at: &str, service: &Service, understood: &Understood, problems: &mut Problems) {
    for port in &service.ports {
        let inside = port.rsplit(':').next().and_then(|port| port.parse().ok());
        let listeners = understood.listeners();
        let there = listeners
            .iter()
            .any(|listener| Some(listener.address.port()) == inside);
        problems.unless(there, || format!("{at}: nothing listens at {port}"));
    }
}

/// The image says where the program listens.
fn exposed(at: &str, image: &Image, understood: &Understood, problems: &mut Problems) {
    for port in understood.listeners().iter().map(|one| one.address.port()) {
        let told = image.exposed.contains(&port);
        problems.unless(told, || format!("{at}: {port} is not exposed by the image"));
    }
}

/// Every URL that a variable holds leads to a container that is there.
fn hosts(compose: &Compose, at: &str, understood: &Understood, problems: &mut Problems) {
    let values = understood.values.iter();
    for (name, value) in values.filter(|(name, _)| *name != "PORTICO_PUBLIC_URL") {
        for url in value.split(',').filter_map(|item| item.parse::<Url>().ok()) {
            let Some(host) = url.host_str() else {
                continue;
            };
            let there = compose.services.contains_key(host);
            problems.unless(there, || format!("{at}: {name}: no container {host}"));
        }
    }
    let allowed = understood.values.get("PORTICO_ALLOW_PRIVATE_ADDRESSES");
    let allowed = allowed.map_or("", String::as_str).split(',');
    for host in allowed.filter_map(|item| item.split(':').next()) {
        let there = host.is_empty() || compose.services.contains_key(host);
        problems.unless(there, || format!("{at}: no container {host} to allow"));
    }
}

/// Every part runs in a container of its name, and the databases are migrated.
fn complete(all: &BTreeMap<&str, Understood>, problems: &mut Problems) {
    for part in Part::value_variants() {
        let name = part.to_possible_value().unwrap();
        let name = name.get_name();
        let runs = all.get(name).is_some_and(|one| one.runs(*part));
        problems.unless(*part == Part::All || runs, || {
            format!("{FILE}: no container runs {name} alone")
        });
    }
    let migrates = all
        .values()
        .any(|one| matches!(&one.command, Command::Migrate { service } if service.is_empty()));
    problems.unless(migrates, || format!("{FILE}: nothing migrates"));
}

/// Other services are where they listen.
fn neighbours(
    name: &str,
    understood: &Understood,
    all: &BTreeMap<&str, Understood>,
    problems: &mut Problems,
) {
    if understood.parts().is_none() {
        return;
    }
    for service in ServiceName::ALL {
        for url in understood.config.services.addresses(service) {
            let there = url.host_str().and_then(|host| all.get(host));
            let listens = there.is_some_and(|other| {
                let runs = |parts: Parts| parts.services.contains(&service);
                other.parts().is_some_and(runs)
                    && Some(other.config.services.listen.port()) == url.port()
            });
            problems.unless(listens, || {
                format!(
                    "{FILE}: {name}: {} does not listen at {url}",
                    service.as_str()
                )
            });
        }
    }
}

/// No two containers want the same port of the machine, and none is open to other machines.
fn host_ports(compose: &Compose, problems: &mut Problems) {
    let mut taken = BTreeMap::new();
    for (name, service) in &compose.services {
        for port in &service.ports {
            let (outside, _) = port.rsplit_once(':').unwrap_or((port, ""));
            problems.unless(outside.starts_with("127.0.0.1:"), || {
                format!("{FILE}: {name}: {port} is open to other machines")
            });
            if let Some(other) = taken.insert(outside, name) {
                problems.say(format!("{FILE}: {name} and {other} both want {outside}"));
            }
        }
    }
}
