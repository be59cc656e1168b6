//! A real NATS server.
//!
//! The binary is taken from `PORTICO_NATS_SERVER`, else from `PATH`, else from `$(go env GOPATH)/bin`, where
//! `go install github.com/nats-io/nats-server/v2@latest` puts it.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

const BINARY: &str = "nats-server";
/// How long the server may take to listen.
const START_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// Finds the server's binary.
pub(super) fn nats_server_binary() -> Option<PathBuf> {
    if let Some(given) = env::var_os("PORTICO_NATS_SERVER") {
        return Some(PathBuf::from(given)).filter(|path| path.is_file());
    }
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .chain(go_bin())
        .map(|folder| folder.join(BINARY))
        .find(|path| path.is_file())
}

fn go_bin() -> Option<PathBuf> {
    let answer = Command::new("go").args(["env", "GOPATH"]).output().ok()?;
    let path = String::from_utf8(answer.stdout).ok()?;
    let first = env::split_paths(path.trim()).next()?;
    Some(first.join("bin"))
}

/// A `nats-server -js` on a free port of 127.0.0.1 with its own data folder. Killed when dropped.
pub struct NatsServer {
    binary: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl NatsServer {
    /// Starts a server.
    ///
    /// # Errors
    /// When there is no binary, or it does not listen within 20 s.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts a server with more arguments, such as `--user` and `--pass`.
    ///
    /// # Errors
    /// As [`NatsServer::start`].
    pub async fn start_with(arguments: &[&str]) -> io::Result<Self> {
        Self::start_in(arguments, &[]).await
    }

    /// Starts a server with a configuration file that refers to these variables.
    ///
    /// # Errors
    /// As [`NatsServer::start`].
    pub async fn start_configured(
        file: &Path,
        environment: &[(String, String)],
    ) -> io::Result<Self> {
        let file = file.display().to_string();
        Self::start_in(&["-c", &file], environment).await
    }

    async fn start_in(arguments: &[&str], environment: &[(String, String)]) -> io::Result<Self> {
        let binary =
            nats_server_binary().ok_or_else(|| io::Error::other("nats-server not found"))?;
        let mut server = Self {
            binary,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            environment: environment.to_vec(),
            folder: tempfile::tempdir()?,
            port: 0,
            process: None,
        };
        server.spawn("-1").await?;
        Ok(server)
    }

    /// `nats://127.0.0.1:port`; the same after a restart.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills the server with SIGKILL, unless it is stopped already. Its data stays.
    ///
    /// # Errors
    /// When the process cannot be ended.
    pub fn kill(&mut self) -> io::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// Has the running server read its configuration file again.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn reload(&self) -> io::Result<()> {
        let id = self.process.as_ref().map_or(0, Child::id);
        let told = Command::new(&self.binary)
            .args(["--signal", &format!("reload={id}")])
            .stderr(Stdio::null())
            .status()?;
        match told.success() {
            true => Ok(()),
            false => Err(io::Error::other("nats-server does not reload")),
        }
    }

    /// Kills the server if it runs and starts it on the same port with the data that is there.
    ///
    /// # Errors
    /// When it cannot be ended or does not listen within 20 s.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        let deadline = Instant::now() + START_LIMIT;
        // Somebody else may have the port for a moment.
        while let Err(error) = self.spawn(&self.port.to_string()).await {
            if Instant::now() > deadline {
                return Err(error);
            }
            self.kill()?;
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Kills the server if it runs and deletes its data: streams, messages and consumers.
    ///
    /// # Errors
    /// When it cannot be ended or its data not deleted.
    pub fn wipe(&mut self) -> io::Result<()> {
        self.kill()?;
        let data = self.data();
        if data.exists() {
            fs::remove_dir_all(data)?;
        }
        Ok(())
    }

    /// Where it keeps streams and messages.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `-1` has the server choose a port and write it to a file: no other process can take it in between.
    async fn spawn(&mut self, port: &str) -> io::Result<()> {
        let ports = self.folder.path().join("ports");
        fs::create_dir_all(&ports)?;
        let process = Command::new(&self.binary)
            .args(["-js", "-a", "127.0.0.1", "-p", port, "-sd"])
            .arg(self.data())
            .arg("--ports_file_dir")
            .arg(&ports)
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let name = self
            .binary
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let file = ports.join(format!("{name}_{}.ports", process.id()));
        self.process = Some(process);
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Some(port) = listening_port(&file)
                && TcpStream::connect(("127.0.0.1", port)).await.is_ok()
            {
                self.port = port;
                return Ok(());
            }
            let ended = self
                .process
                .as_mut()
                .map(Child::try_wait)
                .transpose()?
                .flatten();
            if let Some(status) = ended {
                return Err(io::Error::other(format!("nats-server ended: {status}")));
            }
            if Instant::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            sleep(POLL).await;
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        // Nothing more can be done about a process that does not end.
        let _ = self.kill();
    }
}

/// The client port in the server's ports file: `{"nats":["nats://127.0.0.1:42067"]}`, or `tls://` with TLS.
fn listening_port(file: &Path) -> Option<u16> {
    let text = fs::read_to_string(file).ok()?;
    let (_, rest) = text.split_once("://127.0.0.1:")?;
    rest.split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}
