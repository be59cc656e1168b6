//! SIGHUP: what of the configuration can change while the process runs.

use std::path::PathBuf;

use portico_runtime::{Config, hangup, telemetry};

/// The key that is taken over.
const LEVEL: &str = "log.level";

/// Reads the configuration again at every SIGHUP, for as long as the process runs. Certificates are read again where they
/// are used.
pub(super) async fn at_hangups(file: Option<PathBuf>, started: Config) {
    let mut hangups = hangup::hangups();
    let mut level = started.log.level.clone();
    while hangups.changed().await.is_ok() {
        let read = match Config::load(file.as_deref()) {
            Ok(read) => read,
            Err(errors) => {
                tracing::error!(%errors, "SIGHUP: the configuration is wrong, so nothing of it is taken over");
                continue;
            }
        };
        match telemetry::set_level(&read.log.level) {
            Ok(()) => tracing::info!(
                before = level,
                level = read.log.level,
                "SIGHUP: certificates and log level are read again"
            ),
            Err(error) => tracing::error!(%error, "SIGHUP: the log level was not changed"),
        }
        let mut others = read.changed_since(&started);
        others.retain(|key| *key != LEVEL);
        if !others.is_empty() {
            tracing::warn!(
                keys = others.join(", "),
                "SIGHUP: these settings have changed and need a restart"
            );
        }
        level.clone_from(&read.log.level);
    }
}
