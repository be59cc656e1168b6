//! Commands of the documentation for operators, as they stand there, with real servers.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use portico_tests::ports::free_port;
use portico_trials::{NATS, POSTGRESQL, Postgres, Trial, postgres, trials};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = trials!(multi, []; one_process);
    trials.extend(trials!(multi, [POSTGRESQL, NATS]; separate_processes_without_containers));
    trials
}

async fn one_process() {
    let [portal, grpc, health] = std::array::from_fn(|_| free_port().port().to_string());
    let variables = [
        ("PORTAL_PORT", portal),
        ("GRPC_PORT", grpc),
        ("HEALTH", health),
    ];
    Scene::of("docs/run/one-process.md")
        .signs_in(&variables)
        .await;
}

async fn separate_processes_without_containers() {
    let database = Postgres::start().await;
    let url: url::Url = database.url().parse().unwrap();
    let [nats, portal, grpc] = std::array::from_fn(|_| free_port().port().to_string());
    let variables = [
        ("PGHOST", url.host_str().unwrap().to_owned()),
        ("PGPORT", url.port().unwrap().to_string()),
        ("PGUSER", url.username().to_owned()),
        ("NATS_PORT", nats),
        ("PORTAL_PORT", portal),
        ("GRPC_PORT", grpc),
        // Two ranges of seven, above those that the system gives away.
        ("CALLS", "61110".to_owned()),
        ("HEALTH", "61210".to_owned()),
    ];
    Scene::of("docs/run/separate.md").signs_in(&variables).await;
}

/// What a page has started by then ends with it.
const CLEAN: &str = r#"trap 'exit 1' TERM
trap 'for one in ./*.pid; do test ! -e "$one" || kill "$(cat "$one")" || true; done' EXIT"#;

/// A folder with `deploy`, and the commands of a page.
struct Scene {
    folder: tempfile::TempDir,
    script: String,
}

impl Scene {
    fn of(page: &str) -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = std::fs::read_to_string(repository.join(page)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        // The secrets that somebody has made there are not ours.
        let copied = Command::new("sh")
            .args([
                "-c",
                "tar -c --exclude deploy/compose/secrets deploy | tar -x -C \"$1\"",
                "sh",
            ])
            .arg(folder.path())
            .current_dir(&repository)
            .status();
        assert!(copied.unwrap().success(), "a copy of deploy");
        let script = blocks(&text).join("\n");
        assert!(!script.is_empty(), "{page}: no commands");
        Self { folder, script }
    }

    /// Runs the commands, of which one signs in.
    async fn signs_in(&self, variables: &[(&str, String)]) {
        let written = self.run(variables).await;
        let session = std::fs::read_to_string(self.folder.path().join("session.json"));
        let session = session.unwrap_or_else(|error| panic!("{error}: {written}"));
        assert!(session.contains("\"token\""), "{session}");
    }

    /// Runs all commands in one shell, with the real programs; what it wrote. The first that fails ends the test with
    /// it, and with every log in the folder.
    async fn run(&self, variables: &[(&str, String)]) -> String {
        // Whatever happens, nothing is left running.
        let script = format!("set -eu\n{CLEAN}\n{}", self.script);
        let mut command = tokio::process::Command::new("timeout");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PORTICO_")) {
            command.env_remove(name);
        }
        let output = command
            .args(["--kill-after=10", "240", "sh", "-c", &script])
            .current_dir(self.folder.path())
            .env("PATH", std::env::join_paths(programs()).unwrap())
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let written = [output.stdout, output.stderr].concat();
        let written = String::from_utf8_lossy(&written).into_owned();
        assert!(
            output.status.success(),
            "{}: {written}\n{}",
            output.status,
            self.logs()
        );
        written
    }

    fn logs(&self) -> String {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        let logs = files.filter(|file| file.extension().is_some_and(|kind| kind == "log"));
        let tail = |file: PathBuf| {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(8)..].join("\n");
            format!("== {}\n{last}", file.display())
        };
        logs.map(tail).collect::<Vec<_>>().join("\n")
    }
}

/// Where `portico`, PostgreSQL's and other programs are.
fn programs() -> Vec<PathBuf> {
    let portico = Path::new(env!("CARGO_BIN_EXE_portico")).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let others = std::env::split_paths(&path);
    let postgres = postgres::programs().into_iter();
    [portico.to_owned()]
        .into_iter()
        .chain(postgres)
        .chain(others)
        .collect()
}

/// What stands between "```sh" and "```".
fn blocks(text: &str) -> Vec<&str> {
    let starts = text.split("\n```sh\n").skip(1);
    starts
        .filter_map(|rest| rest.split("\n```").next())
        .collect()
}
