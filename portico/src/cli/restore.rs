//! `portico restore`: a backup becomes a data folder. Everything is checked beside it first, so a refused backup
//! leaves nothing behind.

use std::path::Path;

use portico_eventstore::{Database, backup::damage, relay};
use portico_runtime::{Clock, Config, ServiceName};
use portico_vault::{Kek, KekRing, Vault, VaultError};

use super::archive::{self, KEK, Manifest, Staging, databases, embedded};
use crate::run::wiring::{self, migrations};

/// Within the data folder, so that moving out of it is a rename.
const STAGING: &str = "restoring";
/// Who asks for everything to be published again.
const ACTOR: &str = "command:restore";

/// Into a data folder without databases; a key-encryption key that is there stays.
///
/// # Errors
/// In words for the person at the terminal.
#[expect(clippy::print_stdout, reason = "the output of the command")]
pub async fn run(config: Config, file: &Path) -> Result<(), String> {
    embedded(&config)?;
    let folder = config.data_dir();
    let _ours = wiring::data_folder(&config)?;
    require_no_databases(folder)?;
    let staging = Staging::new(folder.join(STAGING))?;
    let manifest = archive::read(file, &staging.0)?;
    for name in databases() {
        let damaged = damage(&staging.0.join(&name)).await;
        if let Some(words) = damaged.unwrap_or_else(|error| Some(error.to_string())) {
            return Err(format!("{name} is damaged: {words}"));
        }
    }
    let kek = kek(&config, &staging.0, &manifest)?;
    let ring = KekRing::new(kek, config.kek_previous.iter().cloned());
    for service in ServiceName::ALL {
        prepare(service, &staging.0, &ring).await?;
    }
    let mut names = databases().to_vec();
    if staging.0.join(KEK).exists() && !folder.join(KEK).exists() {
        names.push(KEK.to_owned());
    }
    for name in names {
        let moved = std::fs::rename(staging.0.join(&name), folder.join(&name));
        moved.map_err(|error| format!("{name}: {error}"))?;
    }
    drop(staging);
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| format!("{}: {error}", folder.display()))?;
    println!(
        "{}: restored as of {}; all events are republished at the next start",
        folder.display(),
        manifest.made_at
    );
    Ok(())
}

/// Refuses a folder with databases. What else is in it, such as the `lost+found` of a volume, nothing is written over.
fn require_no_databases(folder: &Path) -> Result<(), String> {
    let words = |error: std::io::Error| format!("data folder {}: {error}", folder.display());
    let databases = databases();
    for entry in std::fs::read_dir(folder).map_err(words)? {
        let name = entry.map_err(words)?.file_name();
        // With its journals, which would be taken for those of the restored one.
        let text = name.to_string_lossy();
        if databases.iter().any(|database| text.starts_with(database)) {
            return Err(format!(
                "data folder {} is not empty: {text} is in it; a backup is restored into an empty folder",
                folder.display(),
            ));
        }
    }
    Ok(())
}

/// The configured key, the one in the data folder, or the one in the backup.
fn kek(config: &Config, staging: &Path, manifest: &Manifest) -> Result<Kek, String> {
    if let Some(kek) = &config.kek {
        return Ok(kek.clone());
    }
    let places = [config.data_dir().join(KEK), staging.join(KEK)];
    match places.iter().find(|place| place.exists()) {
        Some(place) => Kek::from_file(place).map_err(|error| error.to_string()),
        None => Err(format!(
            "the key-encryption key {} is needed and not in the backup: set kek or kek_file, or put it as the file \
             kek into {}",
            manifest.kek_id,
            config.data_dir().display()
        )),
    }
}

/// Brings a database up to date, tries the key, and asks for its events to be published again: consumers are as old
/// as it is, or were told by a bus that is gone.
async fn prepare(service: ServiceName, folder: &Path, ring: &KekRing) -> Result<(), String> {
    let name = service.as_str();
    let words = |error: &dyn std::fmt::Display| format!("{name}: {error}");
    let file = folder.join(format!("{name}.db"));
    let url = format!("sqlite://{}?mode=rw", file.display());
    let database = Database::open(&url, name, &migrations(service))
        .await
        .map_err(|error| words(&error))?;
    let checked = Vault::new(database.pool().clone(), ring.clone())
        .check()
        .await;
    checked.map_err(|error| match error {
        VaultError::UnknownKek(needed) => format!(
            "the secrets in this backup are under the key-encryption key {needed}, but the one given is {}: set kek \
             or kek_file to that key, or kek_previous to it beside a newer one",
            ring.active().id()
        ),
        other => words(&other),
    })?;
    let clock = Clock::system();
    relay::republish(&database, 0, ACTOR, clock.now(), clock.new_id())
        .await
        .map_err(|error| words(&error))?;
    database.pool().close().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_databases_are_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| std::fs::write(folder.path().join(name), "").unwrap();
        for name in ["lost+found", ".snapshot", "notes.txt", "kek", "lock"] {
            put(name);
        }
        require_no_databases(folder.path()).unwrap();
        for name in ["accounts.db", "catalog.db-wal"] {
            put(name);
            let refused = require_no_databases(folder.path()).unwrap_err();
            assert!(refused.contains(name), "{refused}");
            std::fs::remove_file(folder.path().join(name)).unwrap();
        }
    }
}
