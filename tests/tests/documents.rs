//! What documents point to is there.

#![expect(clippy::unwrap_used, reason = "a failure is the end of the test")]

use std::path::{Path, PathBuf};

const ROOMS: [&str; 10] = [
    "benches/",
    "crates/",
    "deploy/",
    "docs/",
    "portico/",
    "proto/",
    "sandbox/",
    "services/",
    "tests/",
    "web/",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Markdown file at the root, below `docs/` and `deploy/`, and of the themes.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = ["docs", "deploy", "web"]
        .map(|name| root().join(name))
        .to_vec();
    found.extend(markdown(&root()));
    while let Some(folder) = folders.pop() {
        found.extend(markdown(&folder));
        let entries = std::fs::read_dir(folder).unwrap();
        folders.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_dir()),
        );
    }
    found
}

fn markdown(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|kind| kind == "md"))
}

/// The relative targets of links, without what stands behind `#`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let targets = targets.filter_map(|target| target.split('#').next());
    targets.filter(|target| !target.is_empty() && !target.contains(':'))
}

/// Paths from the root that stand in backticks; a pattern such as `<name>` or `*` names none.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|quoted| {
        ROOMS.iter().any(|room| quoted.starts_with(room))
            && !quoted.contains(|c: char| c.is_whitespace() || "<*{".contains(c))
    })
}

#[test]
fn links_and_paths_in_documents_lead_somewhere() {
    let mut missing = Vec::new();
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("documents are text");
        let folder = document.parent().expect("a file is in a folder");
        let links = links(&text).map(|link| (link, folder.join(link)));
        let paths = paths(&text).map(|path| (path, root().join(path)));
        for (name, target) in links.chain(paths) {
            // A module is a file, a folder, or both.
            if !target.exists() && !target.with_extension("rs").exists() {
                missing.push(format!("{}: {name}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
