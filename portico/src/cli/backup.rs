//! `portico backup`: the SQLite files of one process as one file, taken while it runs.

use std::path::{Path, PathBuf};

use portico_eventstore::backup::{Copy, copy_at_once};
use portico_runtime::{Clock, Config};
use portico_vault::Kek;

use super::archive::{self, FORMAT, KEK, Manifest, Staging, databases, embedded};

/// Copies everything as it was at one instant into one file, while Portico runs or not.
///
/// # Errors
/// In words for the person at the terminal.
#[expect(clippy::print_stdout, reason = "the output of the command")]
pub async fn run(config: Config, file: &Path, with_kek: bool) -> Result<(), String> {
    embedded(&config)?;
    let folder = config.data_dir();
    let kek_file = folder.join(KEK);
    let kek = match &config.kek {
        Some(kek) => kek.clone(),
        None => {
            Kek::from_file(&kek_file).map_err(|error| format!("no Portico data here: {error}"))?
        }
    };
    if with_kek && config.kek.is_some() {
        return Err("--with-kek is for a key in the data folder, but the key is configured: back it up where it is kept".into());
    }
    if file.exists() {
        return Err(format!("{} exists already", file.display()));
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
            "the key-encryption key {} is included: protect the file as you protect a key",
            kek.id()
        ),
        false => println!(
            "the key-encryption key {} is not included: keep a copy of it elsewhere",
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
