//! `portico run` in a separate process with its own data folder.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use http::StatusCode;
use portico::client::Portal;
use serde_json::{Value, json};

use crate::{
    log::message,
    proc::{cpu, resident},
};

/// Who administers the portals here.
pub(crate) const ADMIN: (&str, &str) = ("admin@bench.example", "a-long-admin-password");
/// Who asks for access.
pub(crate) const DEVELOPER: (&str, &str) = ("developer@bench.example", "a-long-developer-password");
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running portal; killed when dropped.
pub(crate) struct Process {
    child: Child,
    rest: SocketAddr,
    grpc: SocketAddr,
    folder: PathBuf,
    /// From the start of the process to its first ready answer.
    pub(crate) ready_after: Duration,
}

impl Process {
    /// Starts the `portico` that was built beside this program and waits until it is ready.
    pub(crate) async fn start(folder: &Path) -> Result<Self, String> {
        Self::start_with(folder, &[]).await
    }

    /// The same with more variables.
    pub(crate) async fn start_with(
        folder: &Path,
        variables: &[(String, String)],
    ) -> Result<Self, String> {
        let (rest, grpc) = (free_port()?, free_port()?);
        let began = Instant::now();
        let child = command(folder)?
            .arg("run")
            .env("PORTICO_LISTEN", rest.to_string())
            .env("PORTICO_GRPC_LISTEN", grpc.to_string())
            .env("PORTICO_ADMIN_EMAIL", ADMIN.0)
            .env("PORTICO_ADMIN_PASSWORD", ADMIN.1)
            .env("PORTICO_ALLOW_PRIVATE_ADDRESSES", "localhost")
            .envs(variables.iter().cloned())
            .stdin(Stdio::null())
            .spawn()
            .map_err(message)?;
        let mut process = Self {
            child,
            rest,
            grpc,
            folder: folder.to_owned(),
            ready_after: Duration::ZERO,
        };
        process.wait(began).await?;
        process.ready_after = began.elapsed();
        Ok(process)
    }

    async fn wait(&mut self, began: Instant) -> Result<(), String> {
        let http = portico_sandbox::outgoing::http_client().map_err(message)?;
        let url = format!("{}/readyz", self.url());
        loop {
            if let Ok(answer) = http.get(&url).send().await
                && answer.status().is_success()
            {
                return Ok(());
            }
            if self.child.try_wait().map_err(message)?.is_some() || began.elapsed() > START_TIMEOUT
            {
                return Err(format!(
                    "portico did not start on {}",
                    self.folder.display()
                ));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Address of the REST API.
    pub(crate) fn rest(&self) -> SocketAddr {
        self.rest
    }

    /// Address of the gRPC API.
    pub(crate) fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    fn url(&self) -> String {
        format!("http://{}", self.rest)
    }

    /// A client that is not signed in.
    pub(crate) fn anonymous(&self) -> Result<Portal, String> {
        let http = portico_sandbox::outgoing::http_client().map_err(message)?;
        Ok(Portal::anonymous(http, self.url()))
    }

    /// A client signed in as the admin.
    pub(crate) async fn admin(&self) -> Result<Portal, String> {
        self.anonymous()?.sign_in(ADMIN.0, ADMIN.1).await
    }

    /// A client signed in as a developer, who signs up the first time.
    pub(crate) async fn developer(&self) -> Result<Portal, String> {
        let anonymous = self.anonymous()?;
        let user = json!({"name": "Dev Eloper", "email": DEVELOPER.0, "password": DEVELOPER.1});
        // Refused when the developer exists already; a real failure shows at the sign-in.
        anonymous.post("/api/v1/users", user).await?;
        anonymous.sign_in(DEVELOPER.0, DEVELOPER.1).await
    }

    /// Seconds of CPU that it has used.
    pub(crate) fn cpu(&self) -> Result<f64, String> {
        cpu(self.child.id())
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in MiB.
    pub(crate) fn resident(&self) -> Result<f64, String> {
        resident(self.child.id())
    }
}

/// The `portico` that was built beside this program, for a data folder.
pub(crate) fn command(folder: &Path) -> Result<Command, String> {
    let program = std::env::current_exe()
        .map_err(message)?
        .with_file_name("portico");
    if !program.is_file() {
        return Err(format!("{} is not built", program.display()));
    }
    let mut command = Command::new(program);
    command
        .env("PORTICO_DATA_DIR", folder)
        .env("PORTICO_LOG_LEVEL", "error");
    Ok(command)
}

impl Drop for Process {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Creates a resource and returns its id.
pub(crate) async fn create(who: &Portal, path: &str, body: Value) -> Result<String, String> {
    let created = who
        .post(path, body)
        .await?
        .expect(StatusCode::CREATED)
        .map_err(|error| format!("POST {path}: {error}"))?;
    Ok(created["id"].as_str().unwrap_or_default().to_owned())
}

/// Creates and publishes a product, and returns its id.
pub(crate) async fn product(
    admin: &Portal,
    name: &str,
    scope: &str,
    client_type: Option<&str>,
) -> Result<String, String> {
    let body = json!({
        "name": name, "description": "Takes payments by card and by bank transfer.",
        "dcr_enabled": client_type.is_some(), "scopes": scope, "visibility": "public", "tags": ["money"],
        "client_type_ids": client_type.into_iter().collect::<Vec<_>>(), "apis": [],
    });
    let id = create(admin, "/api/v1/products", body).await?;
    publish(admin, &id).await?;
    Ok(id)
}

/// Makes a product visible.
pub(crate) async fn publish(admin: &Portal, product: &str) -> Result<(), String> {
    let path = format!("/api/v1/products/{product}/publish");
    let answer = admin.post(&path, json!({})).await?;
    answer.expect(StatusCode::OK).map(drop)
}

/// A free address of this machine.
pub(crate) fn free_port() -> Result<SocketAddr, String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(message)
}
