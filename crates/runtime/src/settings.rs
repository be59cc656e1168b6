//! Settings that must be the same in all processes which use them: as digests, so that a difference shows where the
//! numbers of all processes come together, also of edges, which share no database.

use std::fmt::Debug;

use sha2::{Digest as _, Sha256};

use crate::{
    Config, ServiceName,
    metrics::gauges::{self, Gauge, Reading},
};

const SETTINGS: Gauge = Gauge {
    name: "portico_settings",
    help: "Always 1: digests of settings that must agree in all processes that tell them. None is a secret.",
};

/// Registers the gauge for a process that runs these services, and the edge or not.
pub fn observe(config: &Config, services: &[ServiceName], edge: bool) {
    let digests = digests(config, services, edge);
    gauges::register("settings", &[SETTINGS], move || {
        let all = digests.iter().map(|(setting, digest)| {
            let reading = Reading::new(SETTINGS, 1).label("setting", *setting);
            reading.label("digest", digest.clone())
        });
        std::future::ready(Ok::<_, String>(all.collect()))
    });
}

fn digests(config: &Config, services: &[ServiceName], edge: bool) -> Vec<(&'static str, String)> {
    use ServiceName::{Accounts, Gateway, Notification, Registration};
    let runs = |users: &[ServiceName]| users.iter().any(|name| services.contains(name));
    let outside = runs(&[Registration, Gateway]);
    let (accounts, notification) = (runs(&[Accounts]), runs(&[Notification]));
    let attempts = config.attempts;
    let all = [
        (true, "connections", digest(&config.connections)),
        // Whoever forgets earlier than the bus would do again what it delivers again.
        (
            !services.is_empty(),
            "retention.messages",
            digest(&config.retention.store.messages),
        ),
        (
            config.nats.is_some() && !services.is_empty(),
            "nats.max_age",
            digest(&config.nats.as_ref().map(|nats| nats.max_age)),
        ),
        (
            edge || notification,
            "public_url",
            digest(&config.public_url.as_str()),
        ),
        (edge || accounts, "signup", digest(&config.signup)),
        (
            edge || accounts,
            "attempts.known_for",
            digest(&attempts.known_for),
        ),
        (
            edge,
            "http.trusted_proxies",
            digest(&config.trusted_proxies),
        ),
        (accounts, "attempts", digest(&attempts)),
        (accounts, "session", digest(&config.session)),
        (notification, "mail.from", digest(&config.mail.from)),
        (outside || notification, "retry", digest(&config.retry)),
        (
            outside,
            "allow_private_addresses",
            digest(&config.allow_private_addresses),
        ),
        (
            runs(&[Registration]),
            "registration.old_secret_lifetime",
            digest(&config.old_secret_lifetime),
        ),
    ];
    let used = all.into_iter().filter(|(used, ..)| *used);
    used.map(|(_, setting, digest)| (setting, digest)).collect()
}

/// Of the value, however it was written: `12h` is `720m`.
fn digest(value: &impl Debug) -> String {
    let digest = Sha256::digest(format!("{value:?}"));
    digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        variables: &[(&str, &str)],
        services: &[ServiceName],
        edge: bool,
    ) -> Vec<(&'static str, String)> {
        let config = Config::from_parts(None, variables.iter().copied()).unwrap();
        digests(&config, services, edge)
    }

    #[test]
    fn a_difference_is_in_the_setting_that_differs_and_in_no_other() {
        let edge = |variables: &[(&str, &str)]| of(variables, &[], true);
        let (open, closed) = (edge(&[]), edge(&[("PORTICO_SIGNUP", "closed")]));
        let differ: Vec<&str> = open
            .iter()
            .zip(&closed)
            .filter(|(one, other)| one != other)
            .map(|(one, _)| one.0)
            .collect();
        assert_eq!(differ, ["signup"]);
    }

    #[test]
    fn what_is_written_otherwise_and_means_the_same_agrees() {
        let accounts = |lifetime| {
            of(
                &[("PORTICO_SESSION_LIFETIME", lifetime)],
                &[ServiceName::Accounts],
                false,
            )
        };
        assert_eq!(accounts("12h"), accounts("720m"));
        assert_ne!(accounts("12h"), accounts("13h"));
    }

    #[test]
    fn a_process_tells_only_what_it_uses() {
        let catalog = of(&[], &[ServiceName::Catalog], false);
        let told: Vec<&str> = catalog.iter().map(|(setting, _)| *setting).collect();
        assert_eq!(told, ["connections", "retention.messages"]);
    }
}
