//! The data folder: one process at a time uses it, and nobody but its user reads what is in it.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

const LOCK: &str = "lock";

/// The lock on a data folder. The operating system releases it when the process ends, in whatever way.
#[derive(Debug)]
pub struct DataFolder {
    _lock: File,
}

impl DataFolder {
    /// Creates the folder if needed, for its user only, and locks it for this process. Files in it that others may read,
    /// as earlier versions made them, are closed to them.
    ///
    /// # Errors
    /// In words for the person at the terminal: another process has it, or it cannot be written.
    pub fn take(folder: &Path) -> Result<Self, String> {
        let words = |error: io::Error| format!("data folder {}: {error}", folder.display());
        create(folder).map_err(words)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK))
            .map_err(words)?;
        match lock.try_lock() {
            Ok(()) => {
                private::close(folder).map_err(words)?;
                Ok(Self { _lock: lock })
            }
            Err(TryLockError::WouldBlock) => Err(format!(
                "data folder {}: another Portico process uses it; stop that one, or set data_dir to another folder",
                folder.display()
            )),
            Err(TryLockError::Error(error)) => Err(words(error)),
        }
    }
}

/// Creates a folder for data, with its parents, for its user only. One that is there keeps its permissions, which may be
/// somebody's decision.
fn create(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(unix)]
mod private {
    use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

    /// Databases with their journals, the key-encryption key and the lock.
    fn is_ours(name: &str) -> bool {
        let journal = ["-wal", "-shm", "-journal"];
        let name = journal
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        name.ends_with(".db") || ["kek", super::LOCK].contains(&name)
    }

    pub(super) fn close(folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let open = metadata.permissions().mode() & 0o077 != 0;
            if open && metadata.is_file() && entry.file_name().to_str().is_some_and(is_ours) {
                fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o600))?;
            }
        }
        Ok(())
    }
}

#[cfg(not(unix))]
mod private {
    pub(super) fn close(_: &std::path::Path) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let first = DataFolder::take(&path).unwrap();
        let refused = DataFolder::take(&path).unwrap_err();
        assert!(refused.contains("another Portico process"), "{refused}");
        drop(first);
        DataFolder::take(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn only_its_user_reads_it() {
        use std::{fs, os::unix::fs::PermissionsExt as _};

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        drop(DataFolder::take(&path).unwrap());
        assert_eq!(mode(&path), 0o700);
        // As an earlier version left them.
        let ours = ["lock", "kek", "accounts.db", "accounts.db-wal"];
        for name in ours.iter().chain(&["notes.txt"]) {
            fs::write(path.join(name), "").unwrap();
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        drop(DataFolder::take(&path).unwrap());
        for name in ours {
            assert_eq!(mode(&path.join(name)), 0o600, "{name}");
        }
        // Nothing of ours.
        assert_eq!(mode(&path.join("notes.txt")), 0o644);
    }
}
