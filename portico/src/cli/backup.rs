//! `portico backup` and `portico restore`: the SQLite files of one process as one file, taken while it runs.
//!
//! The file is a tar archive: [`Manifest`] first, then a database for each service and, if it was asked for, the
//! key-encryption key.

mod archive;
mod restore;

use std::path::{Path, PathBuf};

use portico_eventstore::backup::{Copy, copy_at_once};
use portico_runtime::{Clock, Config, ServiceName};
use portico_vault::Kek;
use serde::{Deserialize, Serialize};

pub use restore::restore;

const MANIFEST: &str = "manifest.json";
/// As in the data folder.
const KEK: &str = "kek";
const FORMAT: u32 = 1;

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    /// [`FORMAT`]; another one is for another version of Portico.
    format: u32,
    /// The Portico that made it.
    version: String,
    made_at: String,
    /// The key-encryption key that was in force.
    kek_id: String,
    files: Vec<Part>,
}

/// A file in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    name: String,
    bytes: u64,
    sha256: String,
}

/// The databases of all services, as files.
fn databases() -> [String; 5] {
    ServiceName::ALL.map(|service| format!("{}.db", service.as_str()))
}

/// Only for data in files.
fn embedded(config: &Config) -> Result<(), String> {
    if config.database_url().is_none() {
        return Ok(());
    }
    Err(
        "this is for SQLite files, but database.url is set: use pg_dump and pg_restore, as docs/operating.md says"
            .to_owned(),
    )
}

/// `portico backup`: everything as it was at one instant, in one file, while Portico runs or not.
///
/// # Errors
/// In words for the person at the terminal.
#[expect(clippy::print_stdout, reason = "the output of the command")]
pub async fn backup(config: Config, file: &Path, with_kek: bool) -> Result<(), String> {
    embedded(&config)?;
    let folder = config.data_dir();
    let kek_file = folder.join(KEK);
    let kek = match &config.kek {
        Some(kek) => kek.clone(),
        None => Kek::from_file(&kek_file)
            .map_err(|error| format!("there is no Portico data here: {error}"))?,
    };
    if with_kek && config.kek.is_some() {
        return Err("--with-kek is for the key in the data folder; yours is configured, so keep it where it is".into());
    }
    if file.exists() {
        return Err(format!("{} is there already", file.display()));
    }
    let staging = Staging::new(beside(file, ".parts"))?;
    let copies = databases().map(|name| Copy {
        from: folder.join(&name),
        to: staging.0.join(&name),
    });
    copy_at_once(&copies)
        .await
        .map_err(|error| format!("the databases could not be copied: {error}"))?;
    let mut names = databases().to_vec();
    if with_kek {
        let copied = std::fs::copy(&kek_file, staging.0.join(KEK));
        copied.map_err(|error| format!("{}: {error}", kek_file.display()))?;
        names.push(KEK.to_owned());
    }
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: Clock::system().now().to_string(),
        kek_id: kek.id().to_owned(),
        files: archive::parts(&staging.0, &names)?,
    };
    let partial = beside(file, ".partial");
    archive::write(&partial, &staging.0, &manifest)?;
    std::fs::rename(&partial, file).map_err(|error| format!("{}: {error}", file.display()))?;
    drop(staging);
    println!("{}: {} databases", file.display(), databases().len());
    match with_kek {
        true => println!(
            "the key-encryption key {} is in it: keep it as you keep a key",
            kek.id()
        ),
        false => println!(
            "the key-encryption key {} is not in it: keep a copy of it elsewhere",
            kek.id()
        ),
    }
    Ok(())
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A folder for what is under way; gone at the end, however that comes.
struct Staging(PathBuf);

impl Staging {
    fn new(folder: PathBuf) -> Result<Self, String> {
        let words = |error: std::io::Error| format!("{}: {error}", folder.display());
        match std::fs::remove_dir_all(&folder) {
            Ok(()) => {
                tracing::info!(folder = %folder.display(), "left over from an interrupted run; removed")
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(words(error)),
        }
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder).map_err(words)?;
        Ok(Self(folder))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "temporary folder not removed");
        }
    }
}
