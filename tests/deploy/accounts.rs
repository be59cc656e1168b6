//! Accounts at NATS and PostgreSQL: users and passwords of the scripts fit together. The permissions at NATS are a
//! test of their own, `nats_accounts`.

use std::collections::BTreeMap;

use portico_runtime::ServiceName;
use url::Url;

use crate::{files::Repository, problems::Problems, secrets::Made};

const NATS: &str = "deploy/nats/nats-server.conf";
const ROLES: &str = "deploy/postgres/roles.sh";

pub fn check(repository: &Repository, problems: &mut Problems) {
    let made = Made::ours();
    let given = made.text("deploy/compose/secrets/nats.env");
    let given: BTreeMap<&str, &str> = given
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let config = repository.text(NATS);
    for variable in variables(&config) {
        let there = given.contains_key(variable);
        problems.unless(there, || format!("{NATS}: nothing gives {variable}"));
    }
    let roles = repository.text(ROLES);
    let services = roles
        .lines()
        .find_map(|line| line.strip_prefix("for service in "));
    let services = services.unwrap_or_default().trim_end_matches("; do");
    let services: Vec<&str> = services.split(' ').collect();
    let wanted = ServiceName::ALL.map(|name| name.as_str().replace('-', "_"));
    problems.unless(services == wanted, || {
        format!("{ROLES}: roles of {services:?}")
    });
    for service in ServiceName::ALL {
        let word = service.as_str().replace('-', "_");
        let url = |kind: &str| -> Url {
            let file = format!("deploy/compose/secrets/{word}_{kind}_url");
            made.text(&file).parse().unwrap()
        };
        let nats = url("nats");
        let variable = format!("NATS_{}_PASSWORD", word.to_uppercase());
        let known = nats.username() == service.as_str()
            && nats.password() == given.get(variable.as_str()).copied()
            && config.contains(&format!(
                "user: \"{}\", password: ${variable}",
                service.as_str()
            ));
        problems.unless(known, || {
            format!("{NATS}: not the user and password of {word}")
        });
        let database = url("database");
        let password = made.text(&format!("deploy/compose/secrets/{word}_database_password"));
        let known = database.username() == format!("portico_{word}")
            && database.password() == Some(password.as_str());
        problems.unless(known, || {
            format!("{ROLES}: not the role and password of {word}")
        });
    }
}

/// Those of the environment that a configuration of NATS refers to.
fn variables(config: &str) -> impl Iterator<Item = &str> {
    let lines = config
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let words = lines
        .flat_map(|line| line.split(|c: char| !(c.is_ascii_alphanumeric() || "_$".contains(c))));
    words
        .filter_map(|word| word.strip_prefix('$'))
        .filter(|word| word.starts_with("NATS_"))
}
