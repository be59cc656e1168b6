//! Portico as a process of its own.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use portico::{client::Portal, run::app::App};
use portico_bus::SharedBus;
use portico_runtime::{Clock, Config};
use portico_tests::{
    cluster::{self, Cluster, Part},
    ports::free_port,
};
use tokio_util::sync::CancellationToken;

use super::until;

pub const ADMIN_EMAIL: &str = "root@portal.example";
pub const ADMIN_PASSWORD: &str = "a-long-admin-password";

/// A `portico run` that can be killed and started again on the same data; Portico inside the test, on a bus with
/// faults; or a cluster of separate processes.
pub struct Portico {
    life: Life,
    settings: Settings,
    pub rest: SocketAddr,
    pub grpc: SocketAddr,
}

enum Life {
    Process(Child),
    Inside {
        shutdown: CancellationToken,
        /// Holds the data folder.
        _app: Box<App>,
    },
    Cluster(Box<Cluster>),
}

/// How to start it.
#[derive(Clone)]
pub struct Settings {
    pub data_dir: PathBuf,
    pub environment: Vec<(String, String)>,
}

impl Portico {
    /// Starts it and waits until it says that it is ready.
    pub async fn start(settings: Settings) -> Self {
        let portico = Self::spawn(settings, free_port(), free_port(), None);
        portico.ready().await;
        portico
    }

    /// Starts it, and does not wait.
    pub fn launch(settings: Settings) -> Self {
        Self::spawn(settings, free_port(), free_port(), None)
    }

    /// Starts it so that it dies, as from `kill -9`, when it reaches a fault point.
    pub async fn start_to_die(settings: Settings, point: &str) -> Self {
        let portico = Self::spawn(settings, free_port(), free_port(), Some(point));
        portico.ready().await;
        portico
    }

    /// The same data and addresses again, without a fault point.
    pub async fn restart(mut self) -> Self {
        self.kill();
        let portico = Self::spawn(self.settings.clone(), self.rest, self.grpc, None);
        portico.ready().await;
        portico
    }

    fn spawn(settings: Settings, rest: SocketAddr, grpc: SocketAddr, fault: Option<&str>) -> Self {
        std::fs::create_dir_all(&settings.data_dir).unwrap();
        let log = File::options()
            .create(true)
            .append(true)
            .open(log_file(&settings.data_dir))
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portico"));
        command
            .arg("run")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PORTICO_")) {
            command.env_remove(name);
        }
        command.envs(variables(&settings, rest, grpc));
        if let Some(point) = fault {
            command.env("FAULT_ABORT_AT", point);
        }
        let life = Life::Process(command.spawn().unwrap());
        Self {
            life,
            settings,
            rest,
            grpc,
        }
    }

    /// Inside this process, on the given bus.
    pub async fn inside(settings: Settings, bus: SharedBus) -> Self {
        let variables = variables(
            &settings,
            "127.0.0.1:0".parse().unwrap(),
            "127.0.0.1:0".parse().unwrap(),
        );
        let config = Config::from_parts(None, variables).unwrap();
        let shutdown = CancellationToken::new();
        let app = App::start_on(bus, config, Clock::system(), shutdown.clone())
            .await
            .unwrap();
        Self {
            rest: app.rest_address,
            grpc: app.grpc_address,
            life: Life::Inside {
                shutdown,
                _app: Box::new(app),
            },
            settings,
        }
    }

    /// Every service and the edge as processes of their own, two of each.
    pub async fn cluster(
        settings: Settings,
        database_url: String,
        nats_url: Box<dyn Fn(Part) -> String + Send + Sync>,
    ) -> Self {
        let cluster = Cluster::start(cluster::Settings {
            binary: env!("CARGO_BIN_EXE_portico").into(),
            folder: settings.data_dir.clone(),
            database_url,
            nats_url,
            environment: common(&settings, "info"),
            replicas: 2,
        })
        .await;
        Self {
            rest: cluster.address(),
            grpc: cluster.edge(0).1,
            life: Life::Cluster(Box::new(cluster)),
            settings,
        }
    }

    /// The separate processes.
    pub fn as_cluster(&mut self) -> &mut Cluster {
        match &mut self.life {
            Life::Cluster(cluster) => cluster,
            Life::Process(_) | Life::Inside { .. } => panic!("it is one process"),
        }
    }

    pub async fn ready(&self) {
        let http = portico_sandbox::outgoing::http_client().unwrap();
        let url = format!("{}/readyz", self.url());
        until("portico is ready", || async {
            http.get(&url)
                .send()
                .await
                .ok()
                .filter(|answer| answer.status().is_success())
        })
        .await;
    }

    /// Waits until it has died by itself, at its fault point.
    pub async fn dead(&mut self) {
        let deadline = std::time::Instant::now() + super::PATIENCE;
        let Life::Process(child) = &mut self.life else {
            panic!("only a process dies")
        };
        while child.try_wait().unwrap().is_none() {
            assert!(
                std::time::Instant::now() < deadline,
                "it did not reach its fault point"
            );
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        match &mut self.life {
            Life::Process(child) => {
                // It may be dead already.
                let _ = child.kill();
                let _ = child.wait();
            }
            Life::Inside { shutdown, .. } => shutdown.cancel(),
            Life::Cluster(cluster) => {
                for replica in cluster.replicas() {
                    cluster.kill(replica);
                }
            }
        }
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        let Life::Process(child) = &self.life else {
            panic!("only a process has signals")
        };
        let id = child.id().to_string();
        let sent = Command::new("kill").args(["-s", "HUP", &id]).status();
        assert!(sent.unwrap().success());
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.rest)
    }

    /// Nobody, at this portal.
    pub fn anonymous(&self) -> Portal {
        Portal::anonymous(
            portico_sandbox::outgoing::http_client().unwrap(),
            self.url(),
        )
    }

    /// Everything that it wrote to standard output and error.
    pub fn log(&self) -> String {
        match &self.life {
            Life::Cluster(cluster) => {
                let replicas = cluster.replicas();
                replicas
                    .into_iter()
                    .map(|replica| cluster.log(replica))
                    .collect()
            }
            Life::Process(_) | Life::Inside { .. } => {
                // Also asked for while a test fails, when its folder may be gone.
                std::fs::read_to_string(log_file(&self.settings.data_dir)).unwrap_or_default()
            }
        }
    }

    pub fn settings(&self) -> Settings {
        self.settings.clone()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.settings.data_dir.join("data")
    }
}

impl Drop for Portico {
    fn drop(&mut self) {
        self.kill();
        if let Life::Cluster(cluster) = &self.life
            && std::thread::panicking()
        {
            for replica in cluster.replicas() {
                println!(
                    "== {}\n{}",
                    cluster.name(replica),
                    cluster.log_tail(replica)
                );
            }
        }
        if std::thread::panicking() && matches!(self.life, Life::Process(_)) {
            let log = self.log();
            let tail: Vec<&str> = log.lines().filter(|line| !line.contains("TRACE")).collect();
            for line in &tail[tail.len().saturating_sub(60)..] {
                println!("{line}");
            }
        }
    }
}

fn variables(settings: &Settings, rest: SocketAddr, grpc: SocketAddr) -> Vec<(String, String)> {
    let data_dir = settings.data_dir.join("data").display().to_string();
    let mut variables = vec![
        ("PORTICO_DATA_DIR".to_owned(), data_dir),
        ("PORTICO_LISTEN".to_owned(), rest.to_string()),
        ("PORTICO_GRPC_LISTEN".to_owned(), grpc.to_string()),
    ];
    variables.extend(common(settings, "trace"));
    variables
}

/// What is the same however it runs.
fn common(settings: &Settings, level: &str) -> Vec<(String, String)> {
    let fixed = [
        ("PORTICO_ADMIN_EMAIL", ADMIN_EMAIL),
        ("PORTICO_ADMIN_PASSWORD", ADMIN_PASSWORD),
        ("PORTICO_ALLOW_PRIVATE_ADDRESSES", "localhost"),
        ("PORTICO_RETRY_FIRST_DELAY", "200ms"),
        ("PORTICO_LOG_LEVEL", level),
    ];
    let fixed = fixed.map(|(name, value)| (name.to_owned(), value.to_owned()));
    fixed
        .into_iter()
        .chain(settings.environment.iter().cloned())
        .collect()
}

/// Another command of the program, with the same settings; its output, and whether it went well.
pub async fn command(settings: &Settings, arguments: &[&str]) -> (bool, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_portico"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PORTICO_")) {
        command.env_remove(name);
    }
    let fixed = variables(settings, free_port(), free_port());
    let fixed = fixed
        .into_iter()
        .filter(|(name, _)| name != "PORTICO_LOG_LEVEL");
    let output = command
        .args(arguments)
        .envs(fixed)
        .env("PORTICO_LOG_LEVEL", "error")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("portico.log")
}
