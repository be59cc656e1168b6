//! The key file that is made when none is configured.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use crate::cipher::random_key;

/// Its name in the data folder.
pub(super) const NAME: &str = "kek";

/// Makes the key file, all or nothing. False when another process was faster.
pub(super) fn create(folder: &Path, path: &Path) -> io::Result<bool> {
    std::fs::create_dir_all(folder)?;
    let text = Zeroizing::new(format!(
        "{}\n",
        BASE64_STANDARD.encode(random_key().as_slice())
    ));
    let mut file = tempfile_in(folder)?;
    file.1.write_all(text.as_bytes())?;
    file.1.sync_all()?;
    // A link, unlike a rename, never replaces a key that is there already.
    let linked = std::fs::hard_link(&file.0, path);
    std::fs::remove_file(&file.0)?;
    match linked {
        Ok(()) => {
            std::fs::File::open(folder)?.sync_all()?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// A new file under a random name, mode 0600.
fn tempfile_in(folder: &Path) -> io::Result<(PathBuf, std::fs::File)> {
    let path = folder.join(format!(".{NAME}.{:016x}", rand::random::<u64>()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    Ok((path, file))
}

#[cfg(test)]
mod tests {
    use super::super::Kek;
    use super::*;

    #[test]
    fn generated_once_then_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let (first, generated) = Kek::load_or_generate(&data).unwrap();
        assert!(generated);
        let (second, generated) = Kek::load_or_generate(&data).unwrap();
        assert!(!generated);
        assert_eq!(first.id(), second.id());
        assert_eq!(
            std::fs::read_dir(&data).unwrap().count(),
            1,
            "no temporary file stays"
        );
    }

    #[test]
    fn processes_that_start_together_get_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let made: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| Kek::load_or_generate(folder.path()).unwrap()))
                .collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap())
                .collect()
        });
        assert!(made.iter().all(|(kek, _)| kek.id() == made[0].0.id()));
        assert_eq!(made.iter().filter(|(_, generated)| *generated).count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        Kek::load_or_generate(folder.path()).unwrap();
        let mode = std::fs::metadata(folder.path().join(NAME)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_broken_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NAME), "").unwrap();
        assert!(Kek::load_or_generate(folder.path()).is_err());
    }
}
