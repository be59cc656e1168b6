//! Certificates of this process: read at the start and again when their files change; how long they are valid.

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;
use portico_runtime::{
    Config, Deps, ServiceName,
    config::{MutualTls, Tls},
    hangup,
    metrics::gauges::{self, Gauge, Reading},
    tls::{self, Certificates, Files, Look},
};
use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    server::ParsedCertificate,
};

/// From so many days before its end on, a certificate is in the log once a day.
const SOON: i64 = 14;
const DAY: Duration = Duration::from_hours(24);

const EXPIRY: Gauge = Gauge {
    name: "portico_certificate_expiry_seconds",
    help: "Time until the first certificate of a role ends; negative: since then.",
};
const UNUSABLE: Gauge = Gauge {
    name: "portico_certificate_unusable",
    help: "1: the files of a role cannot be used, and what was there before still is; 0: they are in use.",
};

/// Those of calls between services.
///
/// # Errors
/// The file that cannot be used, and why.
pub(crate) fn of_services(config: &Config) -> Result<Option<Certificates>, String> {
    let of = |files: &MutualTls| {
        let files = Files {
            ca: Some(files.ca_file.clone()),
            ..own(&files.own)
        };
        Certificates::load("services", files)
    };
    config.services.tls.as_ref().map(of).transpose()
}

/// Those of the public gRPC listener.
///
/// # Errors
/// The file that cannot be used, and why.
pub(crate) fn of_grpc(config: &Config) -> Result<Option<Certificates>, String> {
    let of = |files: &Tls| Certificates::load("grpc", own(files));
    config.grpc.tls.as_ref().map(of).transpose()
}

fn own(files: &Tls) -> Files {
    Files {
        cert: files.cert_file.clone(),
        key: files.key_file.clone(),
        ca: None,
    }
}

/// Whether the certificate of this process names all of these services: the others know them by it.
///
/// # Errors
/// The services that it does not name, or the file that cannot be used.
pub(crate) fn check_names(files: &MutualTls, services: &[ServiceName]) -> Result<(), String> {
    let file = &files.own.cert_file;
    let unusable = |error: &dyn std::fmt::Display| format!("TLS: {}: {error}", file.display());
    let pem = std::fs::read(file).map_err(|error| unusable(&error))?;
    let first = CertificateDer::pem_slice_iter(&pem).next();
    let first = first.ok_or_else(|| unusable(&"no certificate in it"))?;
    let first = first.map_err(|error| unusable(&error))?;
    let own = ParsedCertificate::try_from(&first).map_err(|error| unusable(&error))?;
    let is_named = |service: &&str| {
        ServerName::try_from(*service).is_ok_and(|name| verify_server_name(&own, &name).is_ok())
    };
    let names = services.iter().map(|service| service.as_str());
    let others: Vec<&str> = names.filter(|service| !is_named(service)).collect();
    match others.is_empty() {
        true => Ok(()),
        false => {
            let words = format!("the certificate does not name {}", others.join(", "));
            Err(unusable(&words))
        }
    }
}

/// Reads certificates again, every `tls.reload_interval` and at SIGHUP, until shutdown, and shows how long they are valid.
pub(crate) fn keep(deps: &Deps, certificates: Certificates) {
    let (clock, held) = (deps.clock.clone(), certificates.clone());
    let name = format!("{} certificates", certificates.role());
    gauges::register(name, &[EXPIRY, UNUSABLE], move || {
        let mut readings = left(clock.now(), held.expiries());
        let unusable = Reading::new(UNUSABLE, held.unusable().is_some().into());
        readings.push(unusable.label("role", held.role()));
        std::future::ready(Ok::<_, String>(readings))
    });
    let (clock, interval) = (deps.clock.clone(), deps.config.tls_reload_interval);
    let shutdown = deps.shutdown.clone();
    deps.spawn(async move {
        let mut hangups = hangup::hangups();
        let mut told = tokio::time::Instant::now();
        tell(clock.now(), &certificates.expiries(), i64::MAX);
        let keep = async {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(interval) => {}
                    // Its sender lives as long as the process.
                    _ = hangups.changed() => {}
                }
                look(&certificates, clock.now());
                if told.elapsed() >= DAY {
                    told = tokio::time::Instant::now();
                    tell(clock.now(), &certificates.expiries(), SOON);
                }
            }
        };
        shutdown.run_until_cancelled(keep).await;
    });
}

fn look(certificates: &Certificates, now: Timestamp) {
    let role = certificates.role();
    match certificates.look(now) {
        Look::Nothing => {}
        Look::Renewed => {
            tracing::info!(
                role,
                "certificates were replaced: new connections use the new ones"
            );
            tell(now, &certificates.expiries(), i64::MAX);
        }
        Look::Restored => tracing::info!(role, "the certificates in use are in their files again"),
        Look::Unusable(reason) => tracing::error!(
            role,
            reason,
            "certificates were replaced by what cannot be used: those from before stay in use"
        ),
    }
}

/// Authorities of servers whose own clients read the files with every connection: only how long they are valid is ours.
pub(crate) fn watch_files(deps: &Deps) {
    let files = files(&deps.config);
    let clock = deps.clock.clone();
    gauges::register("certificate files", &[EXPIRY], move || {
        let readings = left(clock.now(), expiries(&files));
        std::future::ready(Ok::<_, String>(readings))
    });
    tell(
        deps.clock.now(),
        &expiries(&self::files(&deps.config)),
        i64::MAX,
    );
}

fn expiries(files: &[(&'static str, PathBuf)]) -> Vec<(String, Timestamp)> {
    let read = files.iter().filter_map(|(role, file)| {
        let pem = std::fs::read(file).ok()?;
        Some(((*role).to_owned(), tls::expires(&pem)?))
    });
    read.collect()
}

/// What the clients of NATS and PostgreSQL are given.
fn files(config: &Config) -> Vec<(&'static str, PathBuf)> {
    let nats = config.nats.as_ref().and_then(|nats| nats.ca_file.clone());
    let mut files: Vec<_> = nats.map(|file| ("nats_ca", file)).into_iter().collect();
    let url = config
        .database_url()
        .and_then(|url| url.expose().parse::<url::Url>().ok());
    for (name, value) in url.iter().flat_map(url::Url::query_pairs) {
        let role = match &*name {
            "sslrootcert" => "database_ca",
            "sslcert" => "database",
            _ => continue,
        };
        files.push((role, value.into_owned().into()));
    }
    files
}

fn left(now: Timestamp, expiries: Vec<(String, Timestamp)>) -> Vec<Reading> {
    let readings = expiries.into_iter().map(|(role, at)| {
        let left = at.duration_since(now).as_secs_f64();
        Reading::seconds(EXPIRY, left).label("role", role)
    });
    readings.collect()
}

/// Says how many days are left, of what ends within so many.
fn tell(now: Timestamp, expiries: &[(String, Timestamp)], within: i64) {
    for (role, at) in expiries {
        let days_left = at.duration_since(now).as_hours().div_euclid(24);
        match days_left {
            ..0 => tracing::error!(role, days_left, expires = %at, "a certificate has expired"),
            0..SOON => {
                tracing::warn!(role, days_left, expires = %at, "a certificate expires in {days_left} days")
            }
            _ if days_left < within => {
                tracing::info!(role, days_left, expires = %at, "a certificate is valid for {days_left} days");
            }
            _ => {}
        }
    }
}
