//! The real binary as a process that is killed and started again.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use portico_tests::ports::free_port;
use tokio::process::{Child, Command};

use crate::client::until;

pub const ADMIN_EMAIL: &str = "root@portal.example";
pub const ADMIN_PASSWORD: &str = "a-long-admin-password";

/// What every process of every round is told.
pub fn common() -> [(&'static str, String); 8] {
    [
        ("PORTICO_ADMIN_EMAIL", ADMIN_EMAIL.to_owned()),
        ("PORTICO_ADMIN_PASSWORD", ADMIN_PASSWORD.to_owned()),
        ("PORTICO_ALLOW_PRIVATE_ADDRESSES", "localhost".to_owned()),
        ("PORTICO_RETRY_FIRST_DELAY", "100ms".to_owned()),
        ("PORTICO_RETRY_MAX_DELAY", "2s".to_owned()),
        // Otherwise a round with Okta would be over after a day.
        ("PORTICO_REGISTRATION_OLD_SECRET_LIFETIME", "2s".to_owned()),
        ("PORTICO_LOG_LEVEL", "info,portico=debug".to_owned()),
        // Otherwise what a killed process held would rest for ten seconds.
        ("FAULT_LEASE_MS", "1000".to_owned()),
    ]
}

/// `portico run` on one data folder and one pair of addresses.
pub struct Portico {
    child: Option<Child>,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    pub rest: SocketAddr,
    /// The size that no file of the next process may pass, in blocks of 512 bytes.
    pub file_limit: Option<u64>,
}

impl Portico {
    /// Not started yet. `environment` comes on top of what every round has.
    pub fn new(folder: &Path, environment: Vec<(String, String)>) -> Self {
        std::fs::create_dir_all(folder.join("logs")).unwrap();
        let (rest, grpc) = (free_port(), free_port());
        let fixed = [
            (
                "PORTICO_DATA_DIR",
                folder.join("data").display().to_string(),
            ),
            ("PORTICO_LISTEN", rest.to_string()),
            ("PORTICO_GRPC_LISTEN", grpc.to_string()),
        ];
        let fixed = fixed
            .into_iter()
            .chain(common())
            .map(|(name, value)| (name.to_owned(), value));
        Self {
            child: None,
            folder: folder.to_owned(),
            environment: fixed.chain(environment).collect(),
            rest,
            file_limit: None,
        }
    }

    /// Sets a variable for every process from now on; an empty value takes it away.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.environment.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Starts it, to die at a fault point where one is given; does not wait.
    pub fn spawn(&mut self, fault: Option<&str>) {
        assert!(self.child.is_none(), "it runs already");
        let mut command = self.command(&["run"]);
        if let Some(point) = fault {
            command.env("FAULT_ABORT_AT", point);
        }
        self.child = Some(command.spawn().unwrap());
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&mut self) {
        self.spawn(None);
        self.ready().await;
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&mut self) {
        let is_ready = self.ready_or_dead().await;
        assert!(is_ready, "portico ended instead of getting ready");
    }

    /// Waits until it says that it is not ready, for this reason.
    pub async fn not_ready(&self, reason: &str) {
        let http = portico_sandbox::outgoing::http_client().unwrap();
        let url = format!("{}/readyz", self.url());
        until(reason, || async {
            let answer = http.get(&url).send().await.ok()?;
            let refused = answer.status() == http::StatusCode::SERVICE_UNAVAILABLE;
            let told = answer.text().await.ok()?;
            (refused && told.contains(reason)).then_some(())
        })
        .await;
    }

    /// Waits until it says that it is ready, which is true, or has ended.
    pub async fn ready_or_dead(&mut self) -> bool {
        let http = portico_sandbox::outgoing::http_client().unwrap();
        let url = format!("{}/readyz", self.url());
        let child = self.child.as_mut().unwrap();
        let ready = until("portico is ready", || async {
            let answer = http.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(())
        });
        tokio::select! {
            () = ready => true,
            _ = child.wait() => false,
        }
    }

    /// Whether it ends by itself within this time.
    pub async fn dies_within(&mut self, time: Duration) -> bool {
        let child = self.child.as_mut().unwrap();
        let died = tokio::time::timeout(time, child.wait()).await.is_ok();
        if died {
            self.child = None;
        }
        died
    }

    /// `kill -9`. It may be dead already.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill().await;
        }
    }

    /// Runs another command of the binary to its end: whether it succeeded, and what it wrote.
    pub async fn run(&self, arguments: &[&str], fault: Option<&str>) -> (bool, String) {
        let mut command = self.command(arguments);
        if let Some(point) = fault {
            command.env("FAULT_ABORT_AT", point);
        }
        let output = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .await
            .unwrap();
        let mut words = String::from_utf8_lossy(&output.stdout).into_owned();
        words.push_str(&String::from_utf8_lossy(&output.stderr));
        (output.status.success(), words)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.rest)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_portico");
        let mut command = match self.file_limit {
            None => Command::new(program),
            // Without the signal a write beyond the limit is an error, as on a full disk.
            Some(blocks) => {
                let mut shell = Command::new("sh");
                let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
                shell.args(["-c", &script, program]);
                shell
            }
        };
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("logs/portico.log"))
            .unwrap();
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PORTICO_")) {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true);
        command
    }
}
