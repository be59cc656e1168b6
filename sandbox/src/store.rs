//! A JSON file that outlives a restart of the demo. Written whole, beside and then
//! over the old one, so that a crash leaves the one or the other.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::server::StartError;

/// Reads the file; `None` when no file is named or there is none yet.
pub(crate) fn load<T: DeserializeOwned>(path: Option<&Path>) -> Result<Option<T>, StartError> {
    let Some(path) = path else { return Ok(None) };
    let failed = |reason: String| StartError::DataFile {
        path: path.display().to_string(),
        reason,
    };
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| failed(error.to_string())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Writes the file, readable by its owner alone: it holds the sandbox's secrets.
/// A few kilobytes, so the short block of the calling task is accepted.
pub(crate) fn save<T: Serialize>(path: Option<&Path>, value: &T) -> std::io::Result<()> {
    let Some(path) = path else { return Ok(()) };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut beside = PathBuf::from(path);
    beside.set_extension("new");
    write_private(&beside, &serde_json::to_vec_pretty(value)?)?;
    std::fs::rename(&beside, path)
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/state.json");
        assert_eq!(load::<Vec<u8>>(Some(&path)).unwrap(), None);
        save(Some(&path), &vec![1, 2]).unwrap();
        save(Some(&path), &vec![3]).unwrap();
        assert_eq!(load::<Vec<u8>>(Some(&path)).unwrap(), Some(vec![3]));
    }

    #[test]
    fn a_foreign_file_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        std::fs::write(&path, "not json").unwrap();
        let error = load::<Vec<u8>>(Some(&path)).unwrap_err();
        assert!(error.to_string().contains("state.json"), "{error}");
    }
}
