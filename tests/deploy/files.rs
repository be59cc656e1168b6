//! `docker-compose.yml` and the files of `deploy/`, where they are or in a copy with a mistake in it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::problems::Problems;

/// A folder that has what the repository has, as far as `deploy/` refers to it.
pub struct Repository(PathBuf);

impl Repository {
    /// The one that this test is in.
    pub fn ours() -> Self {
        Self(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
    }

    /// A copy of ours.
    pub fn copy_to(folder: &Path) -> Self {
        let ours = Self::ours();
        let referred = [
            "tests/keycloak/realm.json",
            "docs/run/operating.md",
            "docs/run/backup.md",
            "docs/run/compose.md",
            "docs/run/kubernetes.md",
        ];
        for file in ours
            .deployment()
            .into_iter()
            .chain(referred.map(str::to_owned))
            .chain(ours.files("docs/run/alerts"))
        {
            copy(&ours, folder, &file);
        }
        Self(folder.to_owned())
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    pub fn text(&self, path: &str) -> String {
        let text = std::fs::read_to_string(self.path(path));
        text.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The documents of a YAML file.
    pub fn yaml(&self, path: &str, problems: &mut Problems) -> Vec<Value> {
        let documents = serde_saphyr::from_multiple(&self.text(path));
        problems.good(path, documents).unwrap_or_default()
    }

    /// What an operator starts from: the compose file at the root, and everything in `deploy/`.
    pub fn deployment(&self) -> Vec<String> {
        let mut files = self.files("deploy");
        files.push("docker-compose.yml".to_owned());
        files
    }

    /// Everything below a folder but what `secrets.sh` makes, sorted.
    pub fn files(&self, folder: &str) -> Vec<String> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(self.path(folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            match entry.file_type().unwrap().is_dir() {
                true if path == "deploy/compose/secrets" => {}
                true => files.extend(self.files(&path)),
                false => files.push(path),
            }
        }
        files.sort();
        files
    }
}

fn copy(from: &Repository, to: &Path, file: &str) {
    let target = to.join(file);
    std::fs::create_dir_all(target.parent().unwrap()).unwrap();
    std::fs::copy(from.path(file), target).unwrap();
}

/// The text at a JSON pointer; empty where there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let value = value.pointer(pointer);
    value.and_then(Value::as_str).unwrap_or_default()
}

/// The items at a JSON pointer; none where there are none.
pub fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let value = value.pointer(pointer).and_then(Value::as_array);
    value.map(Vec::as_slice).unwrap_or_default()
}
