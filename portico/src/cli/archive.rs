//! The file that a backup is: a tar archive with [`Manifest`] first, then a database for each service and, if it was
//! asked for, the key-encryption key. Every checksum is compared when it is read.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use portico_runtime::{Config, ServiceName};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const MANIFEST: &str = "manifest.json";
/// As in the data folder.
pub(super) const KEK: &str = "kek";
pub(super) const FORMAT: u32 = 1;

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// [`FORMAT`]; another one is for another version of Portico.
    pub(super) format: u32,
    /// The Portico that made it.
    pub(super) version: String,
    pub(super) made_at: String,
    /// The key-encryption key that was in force.
    pub(super) kek_id: String,
    pub(super) files: Vec<Part>,
}

/// A file in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// More than any manifest has.
const LARGEST_MANIFEST: u64 = 1024 * 1024;

/// The databases of all services, as files.
pub(super) fn databases() -> [String; ServiceName::ALL.len()] {
    ServiceName::ALL.map(|service| format!("{}.db", service.as_str()))
}

/// Refuses a configuration whose data is not in files.
pub(super) fn embedded(config: &Config) -> Result<(), String> {
    if config.database_url().is_none() {
        return Ok(());
    }
    Err(
        "this is for SQLite files, but database.url is set: use pg_dump and pg_restore, as docs/run/backup.md says"
            .to_owned(),
    )
}

/// The manifest's entries for files in a folder.
pub(super) fn parts(folder: &Path, names: &[String]) -> Result<Vec<Part>, String> {
    let part = |name: &String| {
        let path = folder.join(name);
        let words = |error: io::Error| format!("{}: {error}", path.display());
        let mut file = File::open(&path).map_err(words)?;
        let (bytes, sha256) = copy(&mut file, &mut io::sink()).map_err(words)?;
        Ok(Part {
            name: name.clone(),
            bytes,
            sha256,
        })
    };
    names.iter().map(part).collect()
}

/// Writes the archive; only its owner can read it.
pub(super) fn write(to: &Path, folder: &Path, manifest: &Manifest) -> Result<(), String> {
    let words = |error: io::Error| format!("{}: {error}", to.display());
    let text = serde_json::to_vec_pretty(manifest).map_err(|error| error.to_string())?;
    let mut builder = tar::Builder::new(private(to).map_err(words)?);
    let mut add = |name: &str, size: u64, content: &mut dyn Read| -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o600);
        builder.append_data(&mut header, name, content)
    };
    add(MANIFEST, text.len() as u64, &mut text.as_slice()).map_err(words)?;
    for part in &manifest.files {
        let mut file = File::open(folder.join(&part.name)).map_err(words)?;
        add(&part.name, part.bytes, &mut file).map_err(words)?;
    }
    let file = builder.into_inner().map_err(words)?;
    file.sync_all().map_err(words)
}

/// Unpacks an archive into a folder, and compares everything with its manifest.
pub(super) fn read(from: &Path, folder: &Path) -> Result<Manifest, String> {
    let words = |error: io::Error| format!("{}: {error}", from.display());
    let wrong = |what: &str| {
        format!(
            "{} is not a complete backup of Portico: {what}",
            from.display()
        )
    };
    let mut archive = tar::Archive::new(File::open(from).map_err(words)?);
    let mut entries = archive.entries().map_err(words)?;
    let first = entries
        .next()
        .transpose()
        .map_err(|_| wrong("it is not a tar archive"))?;
    let manifest = match first {
        Some(entry) if entry.path_bytes() == MANIFEST.as_bytes() => manifest(entry),
        _ => None,
    }
    .ok_or_else(|| wrong("it does not begin with a manifest"))?;
    if manifest.format != FORMAT {
        return Err(wrong(
            "it was made by another version of Portico; restore it with that version",
        ));
    }
    let mut found = Vec::new();
    for entry in entries {
        let mut entry = entry.map_err(|_| wrong("it ends too early"))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        // Names are ours or refused, so none leads out of the folder.
        if name != KEK && !databases().contains(&name) {
            return Err(wrong("it contains an unknown file"));
        }
        let mut file = private(&folder.join(&name)).map_err(words)?;
        let copied = copy(&mut entry, &mut file);
        let (bytes, sha256) = copied.map_err(|_| wrong("it ends too early"))?;
        file.sync_all().map_err(words)?;
        found.push(Part {
            name,
            bytes,
            sha256,
        });
    }
    for part in &manifest.files {
        if !found.contains(part) {
            return Err(wrong(&format!("{} is missing or damaged", part.name)));
        }
    }
    let complete = databases()
        .iter()
        .all(|name| manifest.files.iter().any(|part| part.name == *name));
    match complete && found.len() == manifest.files.len() {
        true => Ok(manifest),
        false => Err(wrong("its manifest is not complete")),
    }
}

fn manifest(entry: impl Read) -> Option<Manifest> {
    let mut text = Vec::new();
    entry.take(LARGEST_MANIFEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Copies; gives size and SHA-256 in hexadecimal.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<(u64, String)> {
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 64 * 1024]);
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
        size += count as u64;
    }
    let digest = hash.finalize();
    let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((size, hex))
}

/// A folder for files in progress, removed when dropped.
pub(super) struct Staging(pub(super) PathBuf);

impl Staging {
    pub(super) fn new(folder: PathBuf) -> Result<Self, String> {
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
