//! Certificates, their authority and the identity key are changed while people work, in the steps of
//! `docs/run/keys-and-certificates.md`; and what else a running process takes over.

use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use futures::future::join_all;
use http::StatusCode;
use portico_tests::cluster::{Cluster, IDENTITY_KEY, Part, Replica};
use portico_trials::{NATS, OPENSSL, POSTGRESQL, Trial, trials};

use crate::support::{
    process::{Settings, command},
    until,
    world::{Backends, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut all =
        trials!(multi, [POSTGRESQL, NATS, OPENSSL]; certificates_and_keys_change_under_load);
    all.extend(trials!(single, []; the_log_level_changes_at_sighup_and_fatal_errors_are_json));
    all
}

/// `openssl rand -base64 32`, once.
const NEXT_KEY: &str = "kq1pPUDPPCGTnRTpmCNKkTZo7zWLsWvTlVkL8y9sG3A=";
const KEY: &str = "PORTICO_SERVICES_IDENTITY_KEY";
const OTHERS: &str = "PORTICO_SERVICES_IDENTITY_KEY_PREVIOUS";
const PEOPLE: usize = 4;
/// Through the edge to accounts, and from there to the service.
const PATHS: [&str; 3] = [
    "/api/v1/applications",
    "/api/v1/products",
    "/api/v1/access-requests",
];

async fn certificates_and_keys_change_under_load() {
    let mut backends = Backends::with_accounts().await;
    // So that nobody looks while files are being replaced, and SIGHUP alone decides.
    backends.with("PORTICO_TLS_RELOAD_INTERVAL", "1h");
    let mut world = World::start_apart_on(Provider::sandbox().await, backends).await;
    let portal = world.configure().await;
    let load = Load::begin(world.portico.url(), portal.developer.token().unwrap());
    let cluster = world.portico.as_cluster();

    let folder = cluster.folder().to_owned();
    let new = folder.join("new");
    std::fs::create_dir(&new).unwrap();
    documented(&new, "openssl req -x509");
    std::fs::copy(folder.join("authority.pem"), folder.join("old.pem")).unwrap();
    std::fs::copy(new.join("authority.pem"), folder.join("new.pem")).unwrap();
    documented(&folder, "cat old.pem new.pem");
    read_again(cluster).await;
    load.goes_on().await;

    cluster.set(OTHERS, NEXT_KEY);
    restart(cluster, &load).await;

    for part in Part::ALL {
        for file in ["key", "pem"].map(|kind| format!("{}.{kind}", part.as_str())) {
            std::fs::rename(new.join(&file), folder.join(&file)).unwrap();
        }
    }
    read_again(cluster).await;
    load.goes_on().await;

    cluster.set(KEY, NEXT_KEY);
    cluster.set(OTHERS, IDENTITY_KEY);
    restart(cluster, &load).await;

    std::fs::rename(folder.join("new.pem"), folder.join("authority.pem")).unwrap();
    read_again(cluster).await;

    cluster.set(OTHERS, "");
    restart(cluster, &load).await;
    let calls = load.end().await;
    println!("{calls} calls while authority, certificates and identity key were changed");

    // Nobody noticed, on either side.
    for replica in cluster.replicas() {
        let (name, log) = (cluster.name(replica), cluster.log(replica));
        for bad in [
            "are refused: signed",
            "TLS handshake failed",
            "cannot be used",
        ] {
            assert!(!log.contains(bad), "{name}: {bad}");
        }
    }
    let service = cluster.replica(Part::ALL[0], 0);
    let numbers = metrics(cluster.probe(service)).await;
    for shown in [
        "portico_certificate_expiry_seconds{role=\"services\"} ",
        "portico_certificate_expiry_seconds{role=\"services_ca\"} ",
        "portico_certificate_unusable{role=\"services\"} 0\n",
        "portico_identity_refused_total{peer=\"edge\",reason=\"key\"} 0\n",
        "portico_clock_offset_seconds ",
    ] {
        assert!(numbers.contains(shown), "{shown}: {numbers}");
    }
}

/// Runs the command of the documentation that begins like this.
fn documented(folder: &Path, begins: &str) {
    const PAGE: &str = include_str!("../../docs/run/keys-and-certificates.md");
    // In a block of its own, or within a sentence.
    let blocks = PAGE
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let quoted = PAGE.split('`').skip(1).step_by(2);
    let mut commands = blocks
        .chain(quoted)
        .filter(|command| command.starts_with(begins));
    let command = commands.next().expect(begins);
    let done = Command::new("sh")
        .args(["-ec", command])
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command}: {said}");
}

/// SIGHUP to everybody, one after the other, each until it has the new files.
async fn read_again(cluster: &mut Cluster) {
    const READ: &str = "certificates were replaced: new connections use the new ones";
    for replica in cluster.replicas() {
        let count = || cluster.log(replica).matches(READ).count();
        let before = count();
        cluster.hang_up(replica);
        until("certificates are read again", || async {
            (count() > before).then_some(())
        })
        .await;
    }
}

/// One replica of each part at a time. Half of the processes know the new settings and half the old ones for a while.
async fn restart(cluster: &mut Cluster, load: &Load) {
    for number in [0, 1] {
        let replicas: Vec<Replica> = Part::ALL
            .iter()
            .map(|part| cluster.replica(*part, number))
            .collect();
        cluster.restart_together(&replicas).await;
        load.goes_on().await;
    }
}

/// People who look at something all the time, and take nothing but an answer.
struct Load {
    ends: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    people: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn begin(url: String, token: &str) -> Self {
        let (ends, calls) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let people = (0..PEOPLE).map(|person| {
            let (url, token) = (url.clone(), token.to_owned());
            let (ends, calls) = (Arc::clone(&ends), Arc::clone(&calls));
            tokio::spawn(async move {
                let http = portico_sandbox::outgoing::http_client().unwrap();
                for path in PATHS.iter().cycle().skip(person) {
                    if ends.load(Ordering::Relaxed) {
                        return;
                    }
                    // A connection for each, so that every edge is asked.
                    let request = http.get(format!("{url}{path}")).bearer_auth(&token);
                    let answer = request.header("connection", "close").send().await;
                    let answer = answer.unwrap_or_else(|error| panic!("{path}: {error:?}"));
                    let status = answer.status();
                    let text = answer.text().await.unwrap();
                    assert_eq!(status, StatusCode::OK, "{path}: {text}");
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        Self {
            people: people.collect(),
            ends,
            calls,
        }
    }

    /// Until everybody has had some answers more.
    async fn goes_on(&self) {
        let before = self.calls.load(Ordering::Relaxed);
        until("calls go on", || async {
            let failed = self.people.iter().any(tokio::task::JoinHandle::is_finished);
            assert!(!failed, "a call has failed");
            let now = self.calls.load(Ordering::Relaxed);
            (now > before + 3 * PEOPLE * PATHS.len()).then_some(())
        })
        .await;
    }

    async fn end(self) -> usize {
        self.ends.store(true, Ordering::Relaxed);
        for person in join_all(self.people).await {
            person.unwrap();
        }
        self.calls.load(Ordering::Relaxed)
    }
}

async fn metrics(address: SocketAddr) -> String {
    let http = portico_sandbox::outgoing::http_client().unwrap();
    let answer = http.get(format!("http://{address}/metrics")).send().await;
    answer.unwrap().text().await.unwrap()
}

async fn the_log_level_changes_at_sighup_and_fatal_errors_are_json() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portico.toml");
    let write = |level: &str, idle: &str| {
        let text = format!(
            "[log]\nlevel = \"{level}\"\nformat = \"json\"\n[session]\nidle = \"{idle}\"\n"
        );
        std::fs::write(&file, text).unwrap();
    };
    write("warn", "2h");
    let mut backends = Backends::embedded();
    backends.with("PORTICO_CONFIG", &file.display().to_string());
    backends.with("PORTICO_LOG_LEVEL", "");
    let world = World::start(Provider::sandbox().await, backends).await;
    let hang_up = || world.portico.hang_up();
    let said = async |what: &str| {
        until(what, || async {
            world.portico.log().contains(what).then_some(())
        })
        .await;
    };

    // An edge that is asked for its products writes a line for that, at info.
    const LINE: &str = "answered 200";
    world.admin.get("/api/v1/products").await.unwrap();
    assert!(!world.portico.log().contains(LINE));
    write("info", "3h");
    hang_up();
    said("SIGHUP: certificates and log level are read again").await;
    said("\"keys\":\"session.idle\"").await;
    world.admin.get("/api/v1/products").await.unwrap();
    said(LINE).await;

    // What is wrong is told, and changes nothing.
    write("info", "soon");
    hang_up();
    said("SIGHUP: the configuration is wrong").await;
    world.admin.get("/api/v1/products").await.unwrap();

    // The data folder is taken, so a second process ends at once; with the wrong file it does not come so far.
    for (idle, why) in [("soon", "session.idle"), ("2h", "another Portico process")] {
        write("info", idle);
        let settings = Settings {
            data_dir: world.portico.settings().data_dir,
            environment: vec![("PORTICO_CONFIG".to_owned(), file.display().to_string())],
        };
        let (ok, said) = command(&settings, &["run"]).await;
        assert!(!ok);
        let last = said.lines().last().unwrap_or_default();
        let line: serde_json::Value = serde_json::from_str(last).expect(&said);
        assert_eq!(line["level"], "ERROR");
        let message = line["message"].as_str().unwrap();
        assert!(message.contains(why), "{message}");
    }
}
