//! A real Keycloak for tests: the Maven artifact in dev mode, with an in-memory database.
//!
//! All tests of a process share one server, which ends with the process, even when that is killed; each test gets a realm
//! of its own. It is unpacked once into `target/keycloak`; `PORTICO_KEYCLOAK_HOME` names an unpacked one to use instead.
//! It needs Java 17 and, unless it is unpacked, Maven: see [`KEYCLOAK`].

use std::fs::{File, create_dir_all};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portico_runtime::clock::Clock;
use portico_runtime::outgoing::address::AllowEntry;
use portico_runtime::outgoing::{Outgoing, OutgoingRequest, OutgoingSettings};
use portico_trials::works;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::ports::free_port;

const VERSION: &str = "26.7.3";
const REALM: &str = include_str!("../keycloak/realm.json");
/// The bootstrap admin of a server that only this machine can reach.
const ADMIN: (&str, &str) = ("admin", "admin-pw");
/// The client of the realm whose service account may manage clients.
const MANAGEMENT: (&str, &str) = ("portal-dcr", "portal-dcr-secret");
/// Clients that every realm has.
const BUILT_IN: [&str; 7] = [
    "account",
    "account-console",
    "admin-cli",
    "broker",
    "realm-management",
    "security-admin-console",
    MANAGEMENT.0,
];
/// Clients in one page of the admin API.
const PAGE: usize = 100;
const START_TIMEOUT: Duration = Duration::from_secs(900);

static SHARED: OnceCell<Arc<Server>> = OnceCell::const_new();

/// Required by tests with a [`Keycloak`].
pub const KEYCLOAK: portico_trials::Server = portico_trials::Server {
    name: "Keycloak",
    missing: || {
        let found =
            works("java", "-version") && (unpacked(&root()).is_some() || works("mvn", "--version"));
        (!found).then_some("java or mvn not found (apt-get install openjdk-17-jre-headless maven)")
    },
};

/// A realm of a running Keycloak.
pub struct Keycloak {
    server: Arc<Server>,
    realm: String,
}

impl Keycloak {
    /// Creates a realm on the server that all tests of this process share.
    ///
    /// # Panics
    /// The server does not start.
    pub async fn start() -> Self {
        let shared = SHARED.get_or_init(|| async { Arc::new(Server::start().await) });
        Self::new_realm(Arc::clone(shared.await)).await
    }

    /// As [`Keycloak::start`], on a separate server that the test may stop.
    ///
    /// # Panics
    /// As [`Keycloak::start`].
    pub async fn start_alone() -> Self {
        Self::new_realm(Arc::new(Server::start().await)).await
    }

    async fn new_realm(server: Arc<Server>) -> Self {
        let realm = format!("r{}", Clock::system().new_id().simple());
        let mut document: Value = serde_json::from_str(REALM).expect("realm.json is JSON");
        document["realm"] = realm.as_str().into();
        let keycloak = Self { server, realm };
        let url = format!("{}/admin/realms", keycloak.server.base);
        let (status, body) = keycloak.admin("POST", &url, Some(document)).await;
        assert_eq!(status, 201, "realm was not created: {body}");
        // The first request to a realm is slow, so it is made here.
        let (status, body) = send("GET", &keycloak.well_known_url(), None, Payload::None).await;
        assert_eq!(status, 200, "realm is not there: {body}");
        keycloak
    }

    /// Another handle of the same realm.
    #[must_use]
    pub fn same_realm(&self) -> Self {
        Self {
            server: Arc::clone(&self.server),
            realm: self.realm.clone(),
        }
    }

    /// The address of the server.
    pub fn base(&self) -> &str {
        &self.server.base
    }

    /// The issuer of the realm.
    pub fn issuer(&self) -> String {
        format!("{}/realms/{}", self.server.base, self.realm)
    }

    /// The OpenID Connect well-known URL of the realm.
    pub fn well_known_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.issuer())
    }

    /// Id and secret of a client that may manage the realm's clients.
    pub fn management(&self) -> (&'static str, &'static str) {
        MANAGEMENT
    }

    /// The password of the server's bootstrap admin, whose name is `admin`.
    pub fn admin_password(&self) -> &'static str {
        ADMIN.1
    }

    /// Creates an initial access token for `count` registrations.
    pub async fn initial_access_token(&self, count: u32) -> String {
        let body = json!({"count": count, "expiration": 0});
        let url = self.admin_url("/clients-initial-access");
        let (status, body) = self.admin("POST", &url, Some(body)).await;
        assert!(status < 300, "no initial access token: {status} {body}");
        body["token"].as_str().expect("a token").to_owned()
    }

    /// The clients that tests registered, as the admin API shows them.
    pub async fn clients(&self) -> Vec<Value> {
        let mut clients = Vec::new();
        // The outgoing client limits the size of an answer, so hundreds of clients come in pages.
        for page in 0.. {
            let path = format!("/clients?first={}&max={PAGE}", page * PAGE);
            let (status, body) = self.admin("GET", &self.admin_url(&path), None).await;
            assert_eq!(status, 200, "no list of clients: {body}");
            let found = body.as_array().expect("a list");
            clients.extend(found.iter().cloned());
            if found.len() < PAGE {
                break;
            }
        }
        clients
            .retain(|client| !BUILT_IN.contains(&client["clientId"].as_str().unwrap_or_default()));
        clients
    }

    /// How many clients tests registered.
    pub async fn client_count(&self) -> usize {
        self.clients().await.len()
    }

    /// One client, as the admin API shows it.
    pub async fn client(&self, client_id: &str) -> Option<Value> {
        let clients = self.clients().await;
        clients
            .into_iter()
            .find(|client| client["clientId"] == client_id)
    }

    /// Deletes a client at the provider, without Portico.
    ///
    /// # Panics
    /// There is no such client.
    pub async fn delete_client(&self, client_id: &str) {
        let client = self.client(client_id).await.expect("the client is there");
        let id = client["id"].as_str().expect("an id");
        let url = self.admin_url(&format!("/clients/{id}"));
        let (status, body) = self.admin("DELETE", &url, None).await;
        assert_eq!(status, 204, "not deleted: {body}");
    }

    /// Requests a token by client credentials; status and body.
    pub async fn token(&self, client_id: &str, secret: &str, scope: &str) -> (u16, Value) {
        let url = format!("{}/protocol/openid-connect/token", self.issuer());
        let mut form = vec![("grant_type", "client_credentials")];
        // Keycloak refuses an empty scope.
        if !scope.is_empty() {
            form.push(("scope", scope));
        }
        let basic = basic(client_id, secret);
        send("POST", &url, Some(&basic), Payload::Form(&form)).await
    }

    /// Calls the admin API as the server's admin; status and body.
    pub async fn admin(&self, method: &str, url: &str, body: Option<Value>) -> (u16, Value) {
        let token_url = format!(
            "{}/realms/master/protocol/openid-connect/token",
            self.server.base
        );
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", ADMIN.0),
            ("password", ADMIN.1),
        ];
        let (_, answer) = send("POST", &token_url, None, Payload::Form(&form)).await;
        let token = answer["access_token"].as_str().expect("an admin token");
        let payload = body.map_or(Payload::None, Payload::Json);
        send(method, url, Some(&format!("Bearer {token}")), payload).await
    }

    /// A URL of the realm in the admin API.
    pub fn admin_url(&self, path: &str) -> String {
        format!("{}/admin/realms/{}{path}", self.server.base, self.realm)
    }

    /// Stops the server and waits, unless there is another handle. Dropping the last handle stops it without waiting.
    pub fn stop(self) {
        if let Some(mut server) = Arc::into_inner(self.server) {
            drop(server.lifeline.take());
            let _ = server.shell.wait();
        }
    }
}

/// A running server. Its parent is a shell that stops it when the lifeline is closed: by a drop, or by the end of this
/// process, even by a kill.
struct Server {
    base: String,
    shell: Child,
    lifeline: Option<ChildStdin>,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.lifeline.take());
    }
}

impl Server {
    async fn start() -> Self {
        let root = root();
        create_dir_all(&root).expect("target can be written");
        // One at a time: the first start after unpacking rewrites its own files.
        let lock = File::create(root.join("lock")).expect("a lock file");
        lock.lock().expect("the lock");
        let home = home(&root);
        let port = free_port().port();
        let log = root.join(format!("{port}.log"));
        let mut server = launch(&home, port, &log).expect("Keycloak can be started");
        let url = format!("{}/realms/master", server.base);
        let start = Instant::now();
        loop {
            if let Some((200, _)) = try_send("GET", &url, None, Payload::None).await {
                return server;
            }
            let ended = server.shell.try_wait().expect("the shell can be asked");
            let text = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none(), "Keycloak ended: {}", text());
            assert!(
                start.elapsed() < START_TIMEOUT,
                "Keycloak is not ready: {}",
                text()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Where Keycloak is unpacked and writes its logs.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/keycloak")
}

/// Keycloak's folder, if it is unpacked already.
fn unpacked(root: &Path) -> Option<PathBuf> {
    if let Some(home) = std::env::var_os("PORTICO_KEYCLOAK_HOME") {
        return Some(home.into());
    }
    let home = root.join(format!("keycloak-{VERSION}"));
    home.join("bin/kc.sh").exists().then_some(home)
}

/// Keycloak's folder; fetches and unpacks it if necessary.
fn home(root: &Path) -> PathBuf {
    if let Some(home) = unpacked(root) {
        return home;
    }
    let home = root.join(format!("keycloak-{VERSION}"));
    let fetched = Command::new("mvn")
        .args([
            "-q",
            "-B",
            "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy",
        ])
        .arg(format!(
            "-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:tar.gz"
        ))
        .arg(format!("-DoutputDirectory={}", root.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    assert!(
        fetched.is_ok_and(|status| status.success()),
        "Maven could not fetch Keycloak"
    );
    // Unpack elsewhere and rename, so that an interrupted run leaves no incomplete folder.
    let archive = root.join(format!("keycloak-quarkus-dist-{VERSION}.tar.gz"));
    let temporary = root.join("unpacking");
    let _ = std::fs::remove_dir_all(&temporary);
    create_dir_all(&temporary).expect("target can be written");
    let unpacked = Command::new("tar")
        .arg("xzf")
        .arg(&archive)
        .arg("-C")
        .arg(&temporary)
        .status();
    assert!(
        unpacked.is_ok_and(|status| status.success()),
        "Keycloak could not be unpacked"
    );
    std::fs::rename(temporary.join(format!("keycloak-{VERSION}")), &home).expect("renamed");
    let _ = std::fs::remove_file(archive);
    home
}

fn launch(home: &Path, port: u16, log: &Path) -> io::Result<Server> {
    // The shell leads a process group, which is ended when the lifeline is cut.
    let script = r#"exec 3<&0
(cat <&3; kill -- "-$$") >/dev/null 2>&1 &
"$1" start-dev --db=dev-mem --http-host=127.0.0.1 --http-port="$2" </dev/null 3<&-
kill -- "-$$"
"#;
    let output = File::create(log)?;
    let mut shell = Command::new("sh")
        .args(["-c", script, "keycloak"])
        .arg(home.join("bin/kc.sh"))
        .arg(port.to_string())
        .env("KC_BOOTSTRAP_ADMIN_USERNAME", ADMIN.0)
        .env("KC_BOOTSTRAP_ADMIN_PASSWORD", ADMIN.1)
        .env(
            "JAVA_OPTS_KC_HEAP",
            "-Xms64m -Xmx512m -XX:MaxMetaspaceSize=256m",
        )
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()?;
    let lifeline = shell.stdin.take();
    Ok(Server {
        base: format!("http://127.0.0.1:{port}"),
        shell,
        lifeline,
    })
}

enum Payload<'a> {
    None,
    Json(Value),
    Form(&'a [(&'a str, &'a str)]),
}

async fn send(
    method: &str,
    url: &str,
    authorization: Option<&str>,
    payload: Payload<'_>,
) -> (u16, Value) {
    let answer = try_send(method, url, authorization, payload).await;
    answer.unwrap_or_else(|| panic!("{method} {url}: no answer"))
}

async fn try_send(
    method: &str,
    url: &str,
    authorization: Option<&str>,
    payload: Payload<'_>,
) -> Option<(u16, Value)> {
    let allow: AllowEntry = "127.0.0.1".parse().expect("an address");
    // A new client each time, because connections belong to the runtime of one test.
    let outgoing = Outgoing::new(OutgoingSettings {
        allow: Arc::new([allow].into_iter().collect()),
        ..OutgoingSettings::default()
    });
    let method = method.parse().expect("a method");
    let mut request = OutgoingRequest::new(method, url.parse().expect("a URL"));
    let mut header = |name: &'static str, value: &str| {
        request
            .headers
            .insert(name, value.parse().expect("a header"));
    };
    if let Some(authorization) = authorization {
        header("authorization", authorization);
    }
    match payload {
        Payload::None => {}
        Payload::Json(body) => {
            header("content-type", "application/json");
            request.body = body.to_string().into();
        }
        Payload::Form(pairs) => {
            header("content-type", "application/x-www-form-urlencoded");
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            request.body = form.extend_pairs(pairs).finish().into();
        }
    }
    // Importing a realm and generating its keys is slow on a JVM that has just started.
    request.timeout = Some(Duration::from_secs(120));
    let answer = outgoing.send(request).await.ok()?;
    let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    Some((answer.status.as_u16(), body))
}

fn basic(client_id: &str, secret: &str) -> String {
    use base64::Engine as _;
    let pair = format!("{client_id}:{secret}");
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair))
}
