//! The programs of `benches/peers`: each is another event store behind one command line.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use async_trait::async_trait;
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{log::message, ratio::Side};

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
            Self::Eventsourcing => {
                let script = sources().join("python/eventsourcing_store.py");
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
    fn folder(self) -> PathBuf {
        match self {
            Self::EmmettPostgresql | Self::EmmettSqlite => sources().join(self.name()),
            _ => sources(),
        }
    }

    fn command(self) -> Result<Command, String> {
        let (part, files) = self.installed();
        installed(part, &files)?;
        let mut command = match self {
            Self::PostgresEs | Self::SqliteEs | Self::Disintegrate | Self::UmaDb => {
                let mut command = Command::new(&files[0]);
                command.arg(self.name());
                command
            }
            Self::Eventsourcing => Command::new(&files[0]),
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

/// A running program; it ends with its standard input.
pub(crate) struct Peer {
    /// Name and version.
    pub(crate) name: String,
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    ready: String,
    rate: f64,
    error: Option<String>,
}

impl Peer {
    /// Starts a program on an empty database and waits until it is ready.
    pub(crate) async fn start(program: Program, url: &str) -> Result<Self, String> {
        let mut child = program
            .command()?
            .arg(url)
            .current_dir(program.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(message)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut peer = Self {
            name: program.name().to_owned(),
            _child: child,
            input: input.ok_or("no input")?,
            output: BufReader::new(output.ok_or("no output")?).lines(),
        };
        peer.name = peer.answer().await?.ready;
        Ok(peer)
    }

    /// How often a second that many clients do a work.
    pub(crate) async fn rate(&mut self, task: Task) -> Result<f64, String> {
        let line = format!("{} {} {}\n", task.work, task.clients, task.seconds);
        self.input
            .write_all(line.as_bytes())
            .await
            .map_err(message)?;
        Ok(self.answer().await?.rate)
    }

    async fn answer(&mut self) -> Result<Answer, String> {
        let line = self.output.next_line().await.map_err(message)?;
        let answer: Answer = serde_json::from_str(&line.ok_or("it has ended")?).map_err(message)?;
        match answer.error {
            Some(error) => Err(error),
            None => Ok(answer),
        }
    }
}

/// A work for a time, as the programs know it.
#[derive(Clone, Copy)]
pub(crate) struct Task {
    /// `append-new`, `append-existing`, `load`, `read` or `project`.
    pub(crate) work: &'static str,
    /// Clients at once.
    pub(crate) clients: usize,
    /// Length of a turn.
    pub(crate) seconds: u64,
}

/// A peer at a task.
pub(crate) struct AtWork<'a>(pub(crate) &'a mut Peer, pub(crate) Task);

#[async_trait(?Send)]
impl Side for AtWork<'_> {
    async fn turn(&mut self) -> Result<f64, String> {
        self.0.rate(self.1).await
    }
}
