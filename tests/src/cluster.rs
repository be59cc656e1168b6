//! Portico with every service as processes of its own, several replicas each, in mutual TLS, behind a balancer.
//!
//! ```text
//! let mut cluster = Cluster::start(Settings { .. }).await;   // all parts, all replicas, ready
//! let catalog = cluster.replica(Part::Service(ServiceName::Catalog), 0);
//! cluster.kill(catalog);                                      // kill -9
//! cluster.spawn(catalog, None);                               // the same addresses again
//! cluster.ready(catalog).await;
//! cluster.restart(catalog).await;                             // SIGTERM, wait for its end, start, ready
//! ```

mod balancer;
mod certificates;
mod variables;

use std::{
    fs::File,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use portico_runtime::ServiceName;

use self::balancer::Balancer;
pub use self::certificates::Authority;
use crate::ports::free_port;

/// The longest that a start or an end may take.
const PATIENCE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(20);
/// `openssl rand -base64 32`, once: the key-encryption key of every service.
pub const KEK: &str = "3q2+78r+ur4BAgMEBQYHCAkKCwwNDg8QERITFBUWFxg=";
/// What signs identities between the processes.
pub const IDENTITY_KEY: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

/// What runs as processes of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// One of the services.
    Service(ServiceName),
    /// The public edge.
    Edge,
}

impl Part {
    /// Services first, the edge last.
    pub const ALL: [Self; 7] = [
        Self::Service(ServiceName::Catalog),
        Self::Service(ServiceName::AccessRequest),
        Self::Service(ServiceName::Registration),
        Self::Service(ServiceName::Gateway),
        Self::Service(ServiceName::Notification),
        Self::Service(ServiceName::Accounts),
        Self::Edge,
    ];

    /// As on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service(name) => name.as_str(),
            Self::Edge => "edge",
        }
    }
}

/// One replica of a part: its place in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replica {
    place: usize,
}

/// How to start a cluster.
pub struct Settings {
    /// The program `portico`.
    pub binary: PathBuf,
    /// Where logs, certificates and data folders go.
    pub folder: PathBuf,
    /// PostgreSQL. `{service}` in it is the name of the service, as its role and its schema have it.
    pub database_url: String,
    /// NATS, for each part that runs a service.
    pub nats_url: Box<dyn Fn(Part) -> String + Send + Sync>,
    /// More variables, for all parts.
    pub environment: Vec<(String, String)>,
    /// Of each part.
    pub replicas: usize,
}

/// A running cluster. All of its processes end with it.
pub struct Cluster {
    settings: Settings,
    places: Vec<Place>,
    balancer: Balancer,
    authority: Authority,
}

struct Place {
    part: Part,
    number: usize,
    /// A service's gRPC, or the edge's HTTP.
    main: SocketAddr,
    /// A service's probes, or the edge's gRPC.
    second: SocketAddr,
    process: Option<Child>,
}

impl Place {
    fn name(&self) -> String {
        format!("{}-{}", self.part.as_str(), self.number)
    }

    fn probe(&self) -> SocketAddr {
        match self.part {
            Part::Service(_) => self.second,
            Part::Edge => self.main,
        }
    }
}

impl Cluster {
    /// Starts every replica of every part and waits until all are ready.
    ///
    /// # Panics
    /// Something does not start.
    pub async fn start(settings: Settings) -> Self {
        let cluster = Self::spawn_all(settings).await;
        cluster.all_ready().await;
        cluster
    }

    async fn all_ready(&self) {
        for replica in self.replicas() {
            self.ready(replica).await;
        }
        self.balancer.all_are_known().await;
    }

    async fn spawn_all(settings: Settings) -> Self {
        std::fs::create_dir_all(&settings.folder).expect("a folder");
        let authority = Authority::new(&settings.folder);
        let mut places = Vec::new();
        for part in Part::ALL {
            authority.issue(part.as_str());
            for number in 0..settings.replicas {
                places.push(Place {
                    part,
                    number,
                    main: free_port(),
                    second: free_port(),
                    process: None,
                });
            }
        }
        let edges = places.iter().filter(|place| place.part == Part::Edge);
        let balancer = Balancer::start(edges.map(|place| place.main).collect()).await;
        let mut cluster = Self {
            settings,
            places,
            balancer,
            authority,
        };
        for place in 0..cluster.places.len() {
            cluster.spawn(Replica { place }, None);
        }
        cluster
    }

    /// The n-th replica of a part.
    #[must_use]
    pub fn replica(&self, part: Part, number: usize) -> Replica {
        let mut places = self.places.iter();
        let place = places.position(|place| place.part == part && place.number == number);
        Replica {
            place: place.expect("the cluster has such a replica"),
        }
    }

    /// All of them, the edges last.
    #[must_use]
    pub fn replicas(&self) -> Vec<Replica> {
        (0..self.places.len())
            .map(|place| Replica { place })
            .collect()
    }

    /// For people: `catalog-0`.
    #[must_use]
    pub fn name(&self, replica: Replica) -> String {
        self.places[replica.place].name()
    }

    /// What it runs.
    #[must_use]
    pub fn part(&self, replica: Replica) -> Part {
        self.places[replica.place].part
    }

    /// Where people reach the portal: a balancer before the edges.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.balancer.address()
    }

    /// Where the n-th edge answers: portal and public gRPC.
    #[must_use]
    pub fn edge(&self, number: usize) -> (SocketAddr, SocketAddr) {
        let place = &self.places[self.replica(Part::Edge, number).place];
        (place.main, place.second)
    }

    /// Where the certificates are that the processes use: `authority.pem`, and `.pem` and `.key` of each part.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.settings.folder
    }

    /// Who has signed the certificates of the processes.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Where it answers `/readyz` and `/metrics`.
    #[must_use]
    pub fn probe(&self, replica: Replica) -> SocketAddr {
        self.places[replica.place].probe()
    }

    /// Sets a variable of every process that is started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        let environment = &mut self.settings.environment;
        environment.retain(|(known, _)| known != name);
        environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts a process at its addresses; it dies, as from `kill -9`, when it reaches a fault point that is named.
    /// One that runs is killed before.
    pub fn spawn(&mut self, replica: Replica, fault: Option<&str>) {
        match fault {
            Some(point) => self.spawn_with(replica, &[("FAULT_ABORT_AT", point)]),
            None => self.spawn_with(replica, &[]),
        }
    }

    /// As [`Cluster::spawn`], with variables of its own.
    pub fn spawn_with(&mut self, replica: Replica, own: &[(&str, &str)]) {
        self.kill(replica);
        let variables = self.variables(replica);
        let place = &mut self.places[replica.place];
        let log = File::options()
            .create(true)
            .append(true)
            .open(log_file(&self.settings.folder, &place.name()))
            .expect("a log file");
        let mut command = Command::new(&self.settings.binary);
        command
            .args(["run", place.part.as_str()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PORTICO_")) {
            command.env_remove(name);
        }
        command.env_remove("FAULT_ABORT_AT");
        command.envs(variables).envs(own.iter().copied());
        place.process = Some(command.spawn().expect("portico starts"));
    }

    /// Starts every process again, on another database, and waits until all are ready.
    pub async fn move_to(&mut self, database_url: String) {
        self.settings.database_url = database_url;
        for replica in self.replicas() {
            self.spawn(replica, None);
        }
        self.all_ready().await;
    }

    /// Waits until a process says that it is ready.
    pub async fn ready(&self, replica: Replica) {
        let place = &self.places[replica.place];
        let deadline = Instant::now() + PATIENCE;
        while !balancer::is_ready(place.probe()).await {
            assert!(
                Instant::now() < deadline,
                "{} is not ready in time: {}",
                place.name(),
                self.log_tail(replica)
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// `kill -9`, unless it has ended by itself.
    pub fn kill(&mut self, replica: Replica) {
        if let Some(mut process) = self.places[replica.place].process.take() {
            // It may be dead already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Whether it runs. One that reached its fault point does not.
    pub fn runs(&mut self, replica: Replica) -> bool {
        let process = self.places[replica.place].process.as_mut();
        process.is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// SIGTERM; waits until it has ended by itself.
    ///
    /// # Panics
    /// It does not end in time, or not well.
    pub async fn stop(&mut self, replica: Replica) {
        if let Some(process) = &self.places[replica.place].process {
            signal(process, "TERM").expect("SIGTERM");
            self.ended(replica).await;
        }
    }

    /// Waits until it has ended by itself.
    async fn ended(&mut self, replica: Replica) {
        let name = self.name(replica);
        let Some(process) = self.places[replica.place].process.as_mut() else {
            return;
        };
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = process.try_wait().expect("a child") {
                break status;
            }
            assert!(Instant::now() < deadline, "{name} does not end");
            tokio::time::sleep(POLL).await;
        };
        assert!(status.success(), "{name} ended with {status}");
        self.places[replica.place].process = None;
    }

    /// SIGTERM, waits for its end, starts it again and waits until it is ready.
    pub async fn restart(&mut self, replica: Replica) {
        self.stop(replica).await;
        self.spawn(replica, None);
        self.ready(replica).await;
    }

    /// As [`Cluster::restart`], of several at the same time.
    pub async fn restart_together(&mut self, replicas: &[Replica]) {
        for replica in replicas {
            if let Some(process) = &self.places[replica.place].process {
                signal(process, "TERM").expect("SIGTERM");
            }
        }
        for replica in replicas {
            self.ended(*replica).await;
            self.spawn(*replica, None);
        }
        for replica in replicas {
            self.ready(*replica).await;
        }
    }

    /// SIGHUP.
    pub fn hang_up(&self, replica: Replica) {
        let process = self.places[replica.place].process.as_ref();
        signal(process.expect("it runs"), "HUP").expect("SIGHUP");
    }

    /// Everything that a replica wrote to standard output and error, in all its lives.
    #[must_use]
    pub fn log(&self, replica: Replica) -> String {
        let file = log_file(&self.settings.folder, &self.name(replica));
        std::fs::read_to_string(file).unwrap_or_default()
    }

    /// Its last lines, without traces.
    #[must_use]
    pub fn log_tail(&self, replica: Replica) -> String {
        let log = self.log(replica);
        let lines: Vec<&str> = log.lines().filter(|line| !line.contains("TRACE")).collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for replica in self.replicas() {
            self.kill(replica);
        }
    }
}

fn signal(process: &Child, name: &str) -> io::Result<()> {
    let done = Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name])
        .arg(process.id().to_string())
        .status()?;
    match done.success() {
        true => Ok(()),
        false => Err(io::Error::other("kill failed")),
    }
}

fn log_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}
