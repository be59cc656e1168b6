//! Lock of the data folder: one process at a time uses it.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

const LOCK: &str = "lock";

/// The lock on a data folder. The operating system releases it when the process ends, in whatever way.
#[derive(Debug)]
pub struct DataFolder {
    _lock: File,
}

impl DataFolder {
    /// Creates the folder if needed, and locks it for this process.
    ///
    /// # Errors
    /// In words for the person at the terminal: another process has it, or it cannot be written.
    pub fn take(folder: &Path) -> Result<Self, String> {
        let words = |error: std::io::Error| format!("data folder {}: {error}", folder.display());
        std::fs::create_dir_all(folder).map_err(words)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK))
            .map_err(words)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(format!(
                "data folder {}: another Portico process uses it; stop that one, or set data_dir to another folder",
                folder.display()
            )),
            Err(TryLockError::Error(error)) => Err(words(error)),
        }
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
}
