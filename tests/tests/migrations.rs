//! Migrations only add, so that an old replica goes on beside a new one (docs/adr, zero downtime). What takes
//! something away says in its name what a program has to know.

#![expect(clippy::expect_used, reason = "a failure is the end of the test")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Folders with migrations, and the numbers that are theirs.
const ROOMS: [(&str, std::ops::RangeInclusive<u32>); 8] = [
    ("crates/eventstore/migrations", 1..=99),
    ("crates/vault/migrations", 101..=199),
    ("services/access-request/migrations", 1001..=9999),
    ("services/accounts/migrations", 1001..=9999),
    ("services/catalog/migrations", 1001..=9999),
    ("services/gateway/migrations", 1001..=9999),
    ("services/notification/migrations", 1001..=9999),
    ("services/registration/migrations", 1001..=9999),
];
/// What an older program could not live with.
const TAKES_AWAY: [&str; 7] = [
    "DROP TABLE",
    "DROP COLUMN",
    "RENAME",
    "ALTER COLUMN",
    "SET NOT NULL",
    "TRUNCATE",
    "ADD CONSTRAINT",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Number, name and statements of each, in upper case and without comments.
fn migrations(folder: &str) -> BTreeMap<u32, (String, Vec<String>)> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder is there");
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let (number, _) = name.split_once('_').expect("number, name");
        let text = fs::read_to_string(entry.path()).expect("it is a file");
        let code: Vec<&str> = text
            .lines()
            .map(|line| line.split("--").next().unwrap_or_default())
            .collect();
        let code = code.join(" ").to_uppercase();
        let statements = code
            .split(';')
            .map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|statement| !statement.is_empty());
        let number = number.parse().expect("it begins with its number");
        (number, (name.clone(), statements.collect()))
    };
    let mut all = BTreeMap::new();
    for (number, migration) in entries.map(|entry| read(entry.expect("it can be read"))) {
        let before = all.insert(number, migration);
        assert_eq!(before, None, "{folder}: two have the number {number}");
    }
    all
}

/// What a statement does that needs a word about it in the name.
fn takes_away(statement: &str) -> Option<String> {
    if let Some(found) = TAKES_AWAY.iter().find(|words| statement.contains(**words)) {
        return Some((*found).to_owned());
    }
    let tightens = statement.contains("ADD COLUMN")
        && statement.contains("NOT NULL")
        && !statement.contains("DEFAULT");
    // An older program appends rows that break it.
    let unique = statement.starts_with("CREATE UNIQUE INDEX");
    (tightens || unique).then(|| statement.to_owned())
}

/// `1005_needs_1004_drop_old_column.sql`.
fn needs(name: &str) -> Option<u32> {
    let (_, rest) = name.split_once("_needs_")?;
    rest.split('_').next()?.parse().ok()
}

#[test]
fn migrations_only_add_or_say_what_they_need() {
    for (folder, numbers) in ROOMS {
        let all = migrations(folder);
        let tables: Vec<&str> = all
            .values()
            .flat_map(|(_, statements)| statements)
            .filter_map(|statement| statement.strip_prefix("CREATE TABLE "))
            .filter_map(|rest| rest.split([' ', '(']).next())
            .collect();
        assert!(!all.is_empty(), "{folder}");
        for (number, (name, statements)) in &all {
            assert!(
                numbers.contains(number),
                "{folder}/{name}: numbers are {numbers:?}"
            );
            if let Some(needed) = needs(name) {
                assert!(
                    all.contains_key(&needed) && needed < *number,
                    "{folder}/{name}"
                );
                continue;
            }
            for statement in statements {
                // A table that the same file makes has no rows yet.
                let own = statements
                    .iter()
                    .filter_map(|other| other.strip_prefix("CREATE TABLE "))
                    .filter_map(|rest| rest.split([' ', '(']).next())
                    .any(|table| statement.contains(&format!(" ON {table} ")));
                let found = takes_away(statement).filter(|_| !own);
                assert_eq!(
                    found, None,
                    "{folder}/{name} takes something away: name it {number:04}_needs_<number>_..."
                );
            }
        }
        let mut once = tables.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), tables.len(), "{folder}: a table is made twice");
    }
}

#[test]
fn every_migration_is_in_the_list_of_its_crate() {
    for (folder, _) in ROOMS {
        let src = root().join(folder).join("../src");
        let sources: String = ["lib.rs", "database.rs"]
            .iter()
            .filter_map(|file| fs::read_to_string(src.join(file)).ok())
            .collect();
        for (name, _) in migrations(folder).values() {
            assert!(
                sources.contains(&format!("migrations/{name}\"")),
                "{folder}/{name} is not listed"
            );
        }
    }
}

#[test]
fn what_takes_away_is_recognised() {
    for statement in [
        "DROP TABLE A",
        "ALTER TABLE A DROP COLUMN B",
        "ALTER TABLE A RENAME COLUMN B TO C",
        "ALTER TABLE A ADD COLUMN B TEXT NOT NULL",
        "CREATE UNIQUE INDEX I ON A (B)",
    ] {
        assert!(takes_away(statement).is_some(), "{statement}");
    }
    for statement in [
        "CREATE TABLE A (B TEXT NOT NULL)",
        "ALTER TABLE A ADD COLUMN B TEXT",
        "ALTER TABLE A ADD COLUMN B BIGINT NOT NULL DEFAULT 0",
        "CREATE INDEX I ON A (B)",
    ] {
        assert_eq!(takes_away(statement), None, "{statement}");
    }
    assert_eq!(needs("1005_needs_1004_drop_old_column.sql"), Some(1004));
    assert_eq!(needs("1005_what_it_needs.sql"), None);
}
