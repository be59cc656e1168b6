//! Who imports whom within a crate, read from its sources. Tests may import what they like, and are left out.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// One source file without its comments, texts and tests.
pub struct Source {
    /// From the root of the repository.
    pub path: String,
    /// `["grpc", "clients"]` for `src/grpc/clients.rs`; empty for the root of the crate.
    pub module: Vec<String>,
    pub code: String,
}

/// Every source file of a crate, by its folder from the root of the repository.
pub fn of_crate(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let src = root.join(folder).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    let read = |file: &PathBuf| {
        let inside = file.strip_prefix(&src).ok()?.with_extension("");
        let mut module: Vec<String> = inside
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if module.iter().any(|part| part == "tests") {
            return None;
        }
        module.pop_if(|last| ["lib", "main", "mod"].contains(&last.as_str()));
        let text = fs::read_to_string(file).ok()?;
        Some(Source {
            path: file.strip_prefix(&root).ok()?.display().to_string(),
            module,
            code: code(&text),
        })
    };
    let all: Vec<Source> = files.iter().filter_map(read).collect();
    let tests: Vec<Vec<String>> = all.iter().flat_map(Source::modules_of_tests).collect();
    let is_test = |source: &Source| tests.iter().any(|test| source.module.starts_with(test));
    all.into_iter().filter(|source| !is_test(source)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// Files below this folder of sources that their parent module does not declare, so that nobody compiles them.
pub fn undeclared(src: &Path) -> Vec<String> {
    let mut files = Vec::new();
    collect(src, &mut files);
    let is_root = |file: &Path| {
        let program = file.parent() == Some(&src.join("bin"));
        program || [src.join("lib.rs"), src.join("main.rs")].contains(&file.to_owned())
    };
    let is_declared = |file: &Path| {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let parents = match file.parent() {
            Some(folder) if folder != src => vec![folder.with_extension("rs")],
            _ => vec![src.join("lib.rs"), src.join("main.rs")],
        };
        let mut texts = parents
            .iter()
            .filter_map(|file| fs::read_to_string(file).ok());
        texts.any(|text| declares(&text, &name))
    };
    files.retain(|file| !is_root(file) && !is_declared(file));
    files
        .iter()
        .map(|file| file.display().to_string())
        .collect()
}

/// Whether a source declares a module that has a file of its own.
fn declares(text: &str, name: &str) -> bool {
    let declaration = format!("mod {name};");
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"));
    let mut visibilities = lines.filter_map(|line| line.strip_suffix(&declaration));
    visibilities.any(|visibility| visibility.is_empty() || visibility.ends_with(' '))
}

/// Without comments, and without the module of tests, which stands last in a file.
fn code(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let mut kept: Vec<&str> = Vec::new();
    for line in lines {
        if line.starts_with("mod ") && line.ends_with('{') && kept.last() == Some(&"#[cfg(test)]") {
            break;
        }
        kept.push(line);
    }
    kept.join("\n")
}

impl Source {
    /// Files of their own that are there for tests only.
    fn modules_of_tests(&self) -> Vec<Vec<String>> {
        let declared = self.code.split("#[cfg(test)]\n").skip(1);
        let names = declared.filter_map(|rest| {
            let line = rest.lines().next()?.trim().strip_suffix(';')?;
            line.split_once("mod ").map(|(_, name)| name.to_owned())
        });
        names
            .map(|name| [self.module.clone(), vec![name]].concat())
            .collect()
    }

    /// The room of the crate that it is in: the first part of its module; empty for the root.
    pub fn room(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    /// Paths within the crate that it names, from the root of the crate: `["grpc", "clients"]`, as long as they are
    /// written out.
    pub fn imports(&self) -> BTreeSet<Vec<String>> {
        let mut found = BTreeSet::new();
        for (at, _) in self.code.match_indices("crate::") {
            let before = self.code[..at].chars().next_back();
            if !before.is_some_and(is_word) {
                paths(&self.code[at + "crate::".len()..], &[], &mut found);
            }
        }
        for (at, _) in self.code.match_indices("super::") {
            let before = &self.code[..at];
            // The first of several.
            if before.ends_with("super::") || before.chars().next_back().is_some_and(is_word) {
                continue;
            }
            let mut rest = &self.code[at..];
            let mut parents = self.module.as_slice();
            while let Some(after) = rest.strip_prefix("super::") {
                rest = after;
                parents = parents.split_last().map_or(&[][..], |(_, parents)| parents);
            }
            paths(rest, parents, &mut found);
        }
        found
    }

    /// The paths that follow a word, such as `pub use `.
    pub fn names_after(&self, word: &str) -> BTreeSet<Vec<String>> {
        let mut found = BTreeSet::new();
        for (at, _) in self.code.match_indices(word) {
            let rest = &self.code[at + word.len()..];
            paths(rest.strip_prefix("self::").unwrap_or(rest), &[], &mut found);
        }
        found
    }

    /// Whether it names this crate of others.
    pub fn uses(&self, other: &str) -> bool {
        let path = format!("{other}::");
        self.code.match_indices(&path).any(|(at, _)| {
            let before = self.code[..at].chars().next_back();
            !before.is_some_and(|c| is_word(c) || c == ':')
        })
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The paths that a text begins with: `a::b`, or `{a::b, c}`.
fn paths(text: &str, parents: &[String], found: &mut BTreeSet<Vec<String>>) {
    if let Some(group) = text.strip_prefix('{') {
        for member in members(group) {
            paths(member, parents, found);
        }
        return;
    }
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return;
    }
    let mut path = parents.to_vec();
    path.push(name.to_owned());
    match rest.strip_prefix("::") {
        Some(rest) => paths(rest, &path, found),
        None => {
            found.insert(path);
        }
    }
}

/// What stands between the braces of a group, without those of groups within it.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut all) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => {
                all.push(group[start..at].trim());
                break;
            }
            ',' if depth == 0 => {
                all.push(group[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    all
}

#[test]
fn imports_are_found_as_they_are_written() {
    let source = Source {
        path: String::new(),
        module: vec!["worker".to_owned(), "drive".to_owned()],
        code: "use crate::{grpc::{clients, wire::Json}, views};\nuse super::queue::Due;\n\
               use super::super::policies; fn f() { crate::spool::take(); other_crate::x(); sqlx::query(); }"
            .to_owned(),
    };
    let imports: Vec<String> = source
        .imports()
        .iter()
        .map(|path| path.join("::"))
        .collect();
    assert_eq!(
        imports,
        [
            "grpc::clients",
            "grpc::wire::Json",
            "policies",
            "spool::take",
            "views",
            "worker::queue::Due"
        ]
    );
    assert!(source.uses("sqlx") && !source.uses("crate_x"));
}

#[test]
fn comments_and_tests_are_left_out() {
    let text = "//! crate::a\nuse crate::b;\n#[cfg(test)]\nmod tests {\n    use crate::c;\n}";
    assert_eq!(code(text), "use crate::b;\n#[cfg(test)]");
}

#[test]
fn modules_are_declared_in_code() {
    let text = "mod a;\npub(crate) mod b;\n// mod c;\nmod d { }\n#[cfg(test)]\nmod tests;";
    for (name, declared) in [
        ("a", true),
        ("b", true),
        ("c", false),
        ("d", false),
        ("tests", true),
        ("s", false),
    ] {
        assert_eq!(declares(text, name), declared, "{name}");
    }
}
