//! What `compose/secrets.sh` makes, and what `docs/run/kubernetes.md` says that a cluster has to have.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::files::Repository;

const SCRIPT: &str = "deploy/compose/secrets.sh";

/// The folder `deploy/compose/secrets`, made by the script.
pub struct Made(tempfile::TempDir);

impl Made {
    /// Runs the script of a repository.
    fn by(repository: &Repository) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(repository.path(SCRIPT), folder.path().join("secrets.sh")).unwrap();
        let script = folder.path().join("secrets.sh");
        let output = Command::new("sh").arg(script).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{SCRIPT}: {words}");
        Self(folder)
    }

    /// Of our repository, once.
    pub fn ours() -> &'static Self {
        static MADE: OnceLock<Made> = OnceLock::new();
        MADE.get_or_init(|| Self::by(&Repository::ours()))
    }

    /// A file, by its path in the repository.
    pub fn file(&self, path: &str) -> Option<PathBuf> {
        let path = path.strip_prefix("./").unwrap_or(path);
        let file = self.0.path().join(path.strip_prefix("deploy/compose/")?);
        file.is_file().then_some(file)
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.file(path).unwrap()).unwrap()
    }
}

/// The secrets of the table in `docs/run/kubernetes.md`, each with its keys.
pub fn of_a_cluster(repository: &Repository) -> BTreeMap<String, BTreeSet<String>> {
    let page = repository.text("docs/run/kubernetes.md");
    let mut secrets = BTreeMap::new();
    let rows = page
        .lines()
        .skip_while(|line| *line != "| secret | keys |")
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').splitn(2, '|').collect();
        // What comes after the names of the keys explains them.
        let keys = cells[1].split("`:").next().unwrap();
        for secret in names(cells[0]) {
            secrets.insert(secret, names(keys));
        }
    }
    secrets
}

/// What stands between backticks.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split('`').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

/// A file with what a key of a cluster's secret holds, by the secret's name.
pub fn example(secret: &str, key: &str) -> Option<PathBuf> {
    let made = Made::ours();
    let owner = secret.rsplit_once('-').map_or("", |(owner, _)| owner);
    let file = match key {
        "kek" | "identity_key" => format!("deploy/compose/secrets/{key}"),
        "tls.crt" => format!("deploy/compose/secrets/tls/{owner}.pem"),
        "tls.key" => format!("deploy/compose/secrets/tls/{owner}-key.pem"),
        "ca.crt" => "deploy/compose/secrets/tls/authority.pem".to_owned(),
        "password" => "deploy/compose/secrets/admin_password".to_owned(),
        "url" if secret.ends_with("-nats") => {
            format!(
                "deploy/compose/secrets/{}_nats_url",
                owner.replace('-', "_")
            )
        }
        "url" => format!(
            "deploy/compose/secrets/{}_database_url",
            owner.replace('-', "_")
        ),
        "smtp_url" => return Some(smtp_url(made)),
        _ => return None,
    };
    made.file(&file)
}

/// The script makes none, as compose has its mail server beside it.
fn smtp_url(made: &Made) -> PathBuf {
    let file = made.folder().join("smtp_url");
    std::fs::write(&file, "smtps://user:password@mail.example.org").unwrap();
    file
}
