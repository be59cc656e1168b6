//! The programs, and where they are installed.

use std::path::{Path, PathBuf};

use tokio::process::Command;

/// A program, and how it is started.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Rust, cqrs-es.
    PostgresEs,
    /// Rust, cqrs-es.
    SqliteEs,
    /// Rust.
    Disintegrate,
    /// Python.
    Eventsourcing,
    /// Node.
    EmmettPostgresql,
    /// Node.
    EmmettSqlite,
    /// A server of its own, with its client for Rust.
    UmaDb,
    /// Python: what a company would write in place of a portal.
    Script,
}

impl Program {
    /// For people; the program tells its version itself.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PostgresEs => "postgres-es",
            Self::SqliteEs => "sqlite-es",
            Self::Disintegrate => "disintegrate-postgres",
            Self::Eventsourcing => "eventsourcing",
            Self::EmmettPostgresql => "emmett-postgresql",
            Self::EmmettSqlite => "emmett-sqlite",
            Self::UmaDb => "umadb",
            Self::Script => "a script: register, gateway, mail",
        }
    }

    /// What the installation calls it, and its files.
    fn installed(self) -> (&'static str, Vec<PathBuf>) {
        let name = self.name();
        let (part, files) = match self {
            Self::PostgresEs | Self::SqliteEs | Self::Disintegrate | Self::UmaDb => (
                "rust",
                vec![target().join("rust/release/portico-bench-peers")],
            ),
            Self::Eventsourcing | Self::Script => {
                let script = match self {
                    Self::Script => sources().join("python/script.py"),
                    _ => sources().join("python/eventsourcing_store.py"),
                };
                ("python", vec![target().join("python/bin/python"), script])
            }
            Self::EmmettPostgresql | Self::EmmettSqlite => {
                let folder = sources().join(name);
                (
                    name,
                    vec![folder.join("node_modules"), folder.join("store.mjs")],
                )
            }
        };
        (part, files)
    }

    /// Where it runs.
    pub(super) fn folder(self) -> PathBuf {
        match self {
            Self::EmmettPostgresql | Self::EmmettSqlite => sources().join(self.name()),
            _ => sources(),
        }
    }

    pub(super) fn command(self) -> Result<Command, String> {
        let (part, files) = self.installed();
        installed(part, &files)?;
        let mut command = match self {
            Self::PostgresEs | Self::SqliteEs | Self::Disintegrate | Self::UmaDb => {
                let mut command = Command::new(&files[0]);
                command.arg(self.name());
                command
            }
            Self::Eventsourcing | Self::Script => Command::new(&files[0]),
            Self::EmmettPostgresql | Self::EmmettSqlite => Command::new("node"),
        };
        if let Some(script) = files.get(1) {
            command.arg(script);
        }
        Ok(command)
    }
}

/// Why a part of `benches/peers` cannot be used, if so.
pub(crate) fn installed(part: &str, files: &[PathBuf]) -> Result<(), String> {
    if files.iter().all(|file| file.exists()) {
        return Ok(());
    }
    let reason = std::fs::read_to_string(target().join(format!("{part}.missing")));
    Err(match reason {
        Ok(reason) => format!("not installed: {}", reason.trim()),
        Err(_) => "not installed (benches/peers/install)".to_owned(),
    })
}

/// The folder of the programs.
pub(crate) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// Where they are installed.
pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers")
}
