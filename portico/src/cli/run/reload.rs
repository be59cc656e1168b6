//! SIGHUP: what of the configuration can change while the process runs.

use std::path::PathBuf;

use portico_runtime::{Config, hangup, telemetry};

/// The key that is taken over.
const LEVEL: &str = "log.level";

/// Reads the configuration again at every SIGHUP, for as long as the process runs. Certificates are read again where they
/// are used.
pub(super) async fn at_hangups(file: Option<PathBuf>, started: Config) {
    let mut hangups = hangup::hangups();
    while hangups.changed().await.is_ok() {
        match Config::load(file.as_deref()) {
            Ok(read) => {
                set_level(&read.log.level);
                name_others(&read, &started);
            }
            Err(errors) => tracing::error!(
                %errors,
                "SIGHUP: the configuration is wrong, so nothing of it is taken over"
            ),
        }
    }
}

fn set_level(level: &str) {
    match telemetry::set_level(level) {
        Ok(()) => tracing::info!(
            log_level = level,
            "SIGHUP: certificates and log level are read again"
        ),
        Err(error) => tracing::error!(%error, "SIGHUP: the log level was not changed"),
    }
}

/// What has changed and stays as it was at the start.
fn name_others(read: &Config, started: &Config) {
    let mut others = read.changed_since(started);
    others.retain(|key| *key != LEVEL);
    if !others.is_empty() {
        let keys = others.join(", ");
        tracing::warn!(
            keys,
            "SIGHUP: these settings have changed and need a restart"
        );
    }
}
