//! The programs of `benches/peers`: each is another event store behind one command line.

mod program;

use std::process::Stdio;

use async_trait::async_trait;
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
};

pub(crate) use self::program::{Program, installed, target};
use crate::{log::message, ratio::Side};

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
