//! Nothing that was issued, and nothing personal, stands anywhere in clear, however it is written: on disk, in databases
//! and their logs, on the bus, in logs at the level trace, in traces and metrics, in backups, in mails for others and in
//! the words of errors. Each place also holds something that is not secret, so that it was really read. And nothing that
//! people wrote is left of who is erased.

use std::{path::Path, process::Command};

use http::StatusCode;
use portico::client::{Answer, Portal};
use portico_sandbox::identity_provider::{Answer as Said, Fault, Operation};
use portico_tests::{
    canaries::Canaries,
    cluster::{IDENTITY_KEY, KEK},
};
use portico_trials::{NATS, POSTGRESQL, Trial, postgres::programs, trials};
use serde_json::json;

use crate::{
    api_keys,
    support::{
        actions::{Configured, DEVELOPER_EMAIL, DEVELOPER_PASSWORD, id, made},
        collector::Collector,
        process::{ADMIN_EMAIL, ADMIN_PASSWORD, Portico, command},
        until,
        world::{Backends, INITIAL_ACCESS_TOKEN, Provider, World},
    },
    traces::{COLLECTOR_TOKEN, export_to},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut all = trials!(single, []; nowhere_in_one_process);
    all.extend(trials!(single, [POSTGRESQL, NATS]; nowhere_with_separate_processes));
    all
}

const NAME: &str = "Zo\u{eb} \"Canary\" O'Quux";
const EMAIL: &str = "zoe+canary@customer.example";
/// Has letters that every way of writing writes in another way.
const PASSWORD: &str = "p\u{e4}ss\"w\\rd/&=%+ canary";
const WRONG_PASSWORD: &str = "a-wrong-password-canary";
const SMTP_PASSWORD: &str = "mail-canary+/=&%1";
const GATEWAY_SECRET: &str = "another-gateway-secret-canary";
/// Kept with the request, and told to nobody but those who may see it.
const REASON: &str = "Because of the canary in the reason";
/// What only those who asked may read.
const SEARCHED: &str = "searched-for-canary";

/// What people write of an application; its name stands in clear for search, as long as its owner is there.
const APPLICATION_NAME: &str = "Wetterstation Petra Quasebarth";
const FORMER_NAME: &str = "Petra Quasebarths Versuch";
const APPLICATION_DESCRIPTION: &str = "Messwerte aus dem Garten in Wuemmersbach";
const REDIRECT_URL: &str = "https://wetter.wuemmersbach.example/cb";
const REDIRECT_HOST: &str = "wuemmersbach.example";

/// What was made, to look for it.
struct Scene {
    /// Nobody may be told.
    secrets: Canaries,
    /// The secrets, and what says who people are.
    all: Canaries,
    /// All, and what people said to each other: it is kept where their requests are.
    said: Canaries,
    /// An access request, which is no secret.
    request: String,
    /// What it is for.
    application: String,
    /// The answers to what was wrong: code and body.
    errors: Vec<(String, String)>,
}

impl Scene {
    fn secret(&mut self, name: &str, value: &str) {
        self.secrets.add(name, value);
        self.personal(name, value);
    }

    fn personal(&mut self, name: &str, value: &str) {
        self.all.add(name, value);
        self.said.add(name, value);
    }

    /// What somebody was refused, in words.
    fn refused(&mut self, answer: Result<Answer, String>) {
        let answer = answer.unwrap();
        assert!(!answer.status.is_success(), "{}", answer.body);
        let code = answer.body["code"].as_str().unwrap_or_default();
        let code = format!("the error {code}");
        self.errors.push((code, answer.body.to_string()));
    }

    /// That the place was read, and what must not be there is not.
    fn look(&self, canaries: &Canaries, place: &str, bytes: &[u8]) {
        let read = String::from_utf8_lossy(bytes).contains(&self.request);
        assert!(read, "{place} has nothing of the request {}", self.request);
        canaries.assert_absent(place, bytes);
    }
}

async fn play(world: &World) -> Scene {
    let portal = world.configure().await;
    let application = written(&portal.developer).await;
    let (request, _) = portal.submit(&portal.payments, Some(&application)).await;
    world.approve(&request).await;
    let mut scene = Scene {
        secrets: Canaries::default(),
        all: Canaries::default(),
        said: Canaries::default(),
        request,
        application,
        errors: Vec::new(),
    };
    for (name, value) in [
        ("initial access token", INITIAL_ACCESS_TOKEN),
        ("gateway's secret", world.gateway.secret()),
        ("admin's password", ADMIN_PASSWORD),
        ("developer's password", DEVELOPER_PASSWORD),
        ("developer's session", portal.developer.token().unwrap()),
        ("admin's session", world.admin.token().unwrap()),
        ("key-encryption key", KEK),
        ("identity key", IDENTITY_KEY),
        ("collector's token", COLLECTOR_TOKEN),
        ("wrong password", WRONG_PASSWORD),
        ("wrong gateway secret", GATEWAY_SECRET),
        ("password of the mail server", SMTP_PASSWORD),
        ("password with odd letters", PASSWORD),
    ] {
        scene.secret(name, value);
    }
    for (name, value) in [
        ("developer's name", "Ada Lovelace"),
        ("developer's address", DEVELOPER_EMAIL),
        ("admin's address", ADMIN_EMAIL),
        ("odd name", NAME),
        ("odd address", EMAIL),
        ("application's description", APPLICATION_DESCRIPTION),
        ("redirect URL", REDIRECT_URL),
        ("its host", REDIRECT_HOST),
    ] {
        scene.personal(name, value);
    }
    scene.said.add("reason", REASON);
    scene.said.add("search word", SEARCHED);
    issue(world, &portal, &mut scene).await;
    reject(world, &portal).await;
    go_wrong(world, &portal, &mut scene).await;
    scene
}

/// An application that was renamed.
async fn written(developer: &Portal) -> String {
    let body = json!({
        "name": FORMER_NAME, "description": APPLICATION_DESCRIPTION, "redirect_urls": [REDIRECT_URL],
        "visibility": "personal",
    });
    let application = id(&made(developer, "/api/v1/applications", body).await);
    let path = format!("/api/v1/applications/{application}");
    let renamed = json!({"name": APPLICATION_NAME});
    let answer = developer.patch(&path, renamed).await.unwrap();
    answer.expect(StatusCode::OK).unwrap();
    application
}

/// What the portal and its neighbours issue: an OAuth client, an API key, an API token.
async fn issue(world: &World, portal: &Configured, scene: &mut Scene) {
    let credentials = portal.credentials(&scene.application).await;
    scene.secret("client secret", &credentials.client_secret);
    let Provider::Sandbox(provider) = &world.provider else {
        panic!("this world has the sandbox's provider")
    };
    let registered = provider.clients().remove(0);
    let token = registered.registration_access_token.unwrap();
    scene.secret("registration access token", &token);

    let product = api_keys::product(world).await;
    let order = api_keys::order(portal, &product).await;
    world.approve(&order.request).await;
    let ready = api_keys::ready(&portal.developer, &order.application).await;
    let shown = api_keys::reveal(&portal.developer, &ready, StatusCode::OK).await;
    scene.secret("API key", shown["key"].as_str().unwrap());

    let name = json!({"name": "ci"});
    let made = made(&portal.developer, "/api/v1/api-tokens", name).await;
    let token = made["token"].as_str().unwrap();
    scene.secret("API token", token);
    let http = portico_sandbox::outgoing::http_client().unwrap();
    let program = Portal::with_token(http, world.portico.url(), token.to_owned());
    let search = format!("/api/v1/applications?q={SEARCHED}");
    let answer = program.get(&search).await.unwrap();
    answer.expect(StatusCode::OK).unwrap();
}

/// Somebody whose name and password need escapes asks, and is told why not.
async fn reject(world: &World, portal: &Configured) {
    let anonymous = world.portico.anonymous();
    let person = json!({"name": NAME, "email": EMAIL, "password": PASSWORD});
    made(&anonymous, "/api/v1/users", person).await;
    let developer = anonymous.sign_in(EMAIL, PASSWORD).await.unwrap();
    let body = json!({
        "items": [{"product_id": portal.orders, "plan_id": portal.free}],
        "application": {"name": "Shop", "description": "", "redirect_urls": [], "visibility": "personal"},
        "client_type_id": portal.client_type_id,
    });
    let request = id(&made(&developer, "/api/v1/access-requests", body).await);
    let path = format!("/api/v1/access-requests/{request}/reject");
    let rejected = world.admin.post(&path, json!({"reason": REASON})).await;
    rejected.unwrap().expect(StatusCode::ACCEPTED).unwrap();
    until("the mail about it", || async {
        let mails = world.mail.messages();
        let to_her = |to: &String| to.contains("zoe+canary");
        let there = mails.iter().any(|mail| mail.envelope_to.iter().any(to_her));
        there.then_some(())
    })
    .await;
}

/// Errors are made of what was sent: here it is secret.
async fn go_wrong(world: &World, portal: &Configured, scene: &mut Scene) {
    let anonymous = world.portico.anonymous();
    for body in [
        json!({"email": EMAIL, "password": WRONG_PASSWORD}),
        json!({"email": {"of": EMAIL}, "password": [WRONG_PASSWORD]}),
        json!({"email": EMAIL, "password": PASSWORD, "passwort": PASSWORD}),
    ] {
        scene.refused(anonymous.post("/api/v1/session", body).await);
    }
    let again =
        json!({"name": NAME, "email": DEVELOPER_EMAIL, "password": format!("{PASSWORD}\u{7}")});
    scene.refused(anonymous.post("/api/v1/users", again).await);
    let gateway = json!({
        "name": "Another", "type": "tyk", "url": world.gateway.url(), "secret": GATEWAY_SECRET,
        "org_id": portico_sandbox::gateway::seed::ORG,
    });
    scene.refused(world.admin.post("/api/v1/gateways", gateway).await);
    let provider = json!({
        "name": "Another", "type": "other", "well_known_url": format!("http://u:{WRONG_PASSWORD}@127.0.0.1:1/"),
        "initial_access_token": {"is": INITIAL_ACCESS_TOKEN},
    });
    scene.refused(
        world
            .admin
            .post("/api/v1/identity-providers", provider)
            .await,
    );
    let http = portico_sandbox::outgoing::http_client().unwrap();
    let almost = format!("{}x", portal.developer.token().unwrap());
    let almost = Portal::with_token(http, world.portico.url(), almost);
    scene.refused(almost.get("/api/v1/applications").await);

    // A provider that says aloud what it was told.
    let Provider::Sandbox(provider) = &world.provider else {
        panic!("this world has the sandbox's provider")
    };
    let words = format!("you sent Bearer {INITIAL_ACCESS_TOKEN}");
    let body = json!({"error": "invalid_client_metadata", "error_description": words});
    let refusal = Fault::Refuse(Said::json(400, &body));
    provider.fail_next(Operation::Register, 20, refusal);
    let (failed, _) = portal.submit(&portal.orders, None).await;
    let approved = world.act(&world.admin, &failed, "approve").await;
    approved.expect(StatusCode::ACCEPTED).unwrap();
    world.wait_for_status(&failed, "failed").await;
    provider.clear_faults();
    for who in [&world.admin, &portal.developer] {
        let path = format!("/api/v1/access-requests/{failed}");
        let told = who.get(&path).await.unwrap();
        let told = ("the failed request".to_owned(), told.body.to_string());
        scene.errors.push(told);
    }
}

/// Errors, mails and what was exported, which are the same however Portico runs.
async fn scan_what_goes_out(world: &World, scene: &Scene, collector: &Collector) {
    let mut about_her = Canaries::default();
    about_her.add("odd name", NAME);
    about_her.add("odd address", EMAIL);
    about_her.add("reason", REASON);
    assert!(scene.errors.len() >= 9);
    for (place, error) in &scene.errors {
        scene.secrets.assert_absent(place, error.as_bytes());
        about_her.assert_absent(place, error.as_bytes());
    }
    let mails = until("the mails", || async {
        let mails = world.mail.messages();
        (mails.len() >= 5).then_some(mails)
    });
    for mail in mails.await {
        let text = format!("{:?} {} {}", mail.headers, mail.text, mail.html);
        for bytes in [mail.raw.as_slice(), text.as_bytes()] {
            scene.secrets.assert_absent(&mail.subject, bytes);
            if mail.envelope_to == [DEVELOPER_EMAIL] {
                about_her.assert_absent(&mail.subject, bytes);
            }
        }
    }
    until("the spans", || async {
        let raw = collector.raw();
        let there = raw.windows(9).any(|window| window == b"smtp send");
        there.then_some(())
    })
    .await;
    scene
        .said
        .assert_absent("traces and metrics", &collector.raw());
}

async fn nowhere_in_one_process() {
    let collector = Collector::start().await;
    let mut backends = Backends::embedded();
    export_to(&mut backends, &collector);
    backends.with("PORTICO_KEK", KEK);
    let mut world = World::start(Provider::sandbox().await, backends).await;
    let mut scene = play(&world).await;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portico.backup");
    let backup = ["backup", file.to_str().unwrap()];
    let (well, said) = command(&world.portico.settings(), &backup).await;
    assert!(well, "{said}");
    scene
        .all
        .assert_absent("what the command says", said.as_bytes());
    scene.look(&scene.all, "the backup", &std::fs::read(&file).unwrap());
    scan_what_goes_out(&world, &scene, &collector).await;

    refused_by_the_mail_server(&mut world, &mut scene).await;
    assert!(scene.all.assert_absent_below(&world.portico.data_dir()) >= 5);
    others_can_read_nothing(&world.portico.data_dir());
    let log = world.portico.log();
    assert!(log.contains("TRACE"), "the log has not every level");
    scene.look(&scene.said, "the log", log.as_bytes());
    scene
        .said
        .assert_absent("traces and metrics", &collector.raw());
    leave(&world, &scene).await;
}

/// With the account goes all that its owner wrote, from the stores of every service and from backups made afterwards.
async fn leave(world: &World, scene: &Scene) {
    let admin = world.portico.anonymous();
    let admin = admin.sign_in(ADMIN_EMAIL, ADMIN_PASSWORD).await.unwrap();
    let path = format!("/api/v1/applications/{}", scene.application);
    let shown = admin.get(&path).await.unwrap();
    let shown = shown.expect(StatusCode::OK).unwrap();
    let user = shown["owner_id"].as_str().unwrap();
    let erased = admin
        .delete(&format!("/api/v1/users/{user}"))
        .await
        .unwrap();
    erased.expect(StatusCode::NO_CONTENT).unwrap();
    until("the client is deleted", || async {
        (world.provider.client_count().await == 0).then_some(())
    })
    .await;
    let mut texts = Canaries::default();
    for (what, text) in [
        ("name", APPLICATION_NAME),
        ("former name", FORMER_NAME),
        ("name as it is searched", &APPLICATION_NAME.to_lowercase()),
        ("former name as it is searched", &FORMER_NAME.to_lowercase()),
        ("description", APPLICATION_DESCRIPTION),
        ("redirect URL", REDIRECT_URL),
        ("its host", REDIRECT_HOST),
    ] {
        texts.add(what, text);
    }
    until("nothing is left in the stores", || async {
        let files = folder_bytes(&world.portico.data_dir());
        texts.found_in(&files).is_empty().then_some(())
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portico.backup");
    let backup = ["backup", file.to_str().unwrap()];
    let (well, said) = command(&world.portico.settings(), &backup).await;
    assert!(well, "{said}");
    texts.assert_absent("a later backup", &std::fs::read(&file).unwrap());
    texts.assert_absent("the log", world.portico.log().as_bytes());

    let shown = admin.get(&path).await.unwrap();
    let shown = shown.expect(StatusCode::OK).unwrap();
    assert_eq!(
        (shown["name"].as_str(), shown["status"].as_str()),
        (Some("Erased application"), Some("erased"))
    );
    assert_eq!(shown["redirect_urls"], json!([]));
}

/// The password goes to a mail server that has no use for it, and comes back in no words.
async fn refused_by_the_mail_server(world: &mut World, scene: &mut Scene) {
    let mut settings = world.portico.settings();
    let with_password = |(name, value): &mut (String, String)| {
        if name == "PORTICO_SMTP_URL" {
            let encoded: String =
                url::form_urlencoded::byte_serialize(SMTP_PASSWORD.as_bytes()).collect();
            *value = value.replace("://", &format!("://portal:{encoded}@"));
        }
    };
    settings.environment.iter_mut().for_each(with_password);
    world.portico.kill();
    world.portico = Portico::start(settings).await;
    let admin = world.portico.anonymous();
    let admin = admin.sign_in(ADMIN_EMAIL, ADMIN_PASSWORD).await.unwrap();
    scene.secret("admin's second session", admin.token().unwrap());
    let path = "/api/v1/mail-templates/access_submitted/test";
    let answer = admin.post(path, json!({})).await.unwrap();
    scene
        .secrets
        .assert_absent("a test mail", answer.body.to_string().as_bytes());
    let failed = until("a mail that was tried", || async {
        let list = admin
            .get("/api/v1/deliveries?sort=-created_at")
            .await
            .unwrap();
        let list = list.expect(StatusCode::OK).unwrap();
        let first = list["items"][0].clone();
        first["last_error"].is_string().then_some(first)
    })
    .await;
    scene
        .secrets
        .assert_absent("a delivery", failed.to_string().as_bytes());
}

async fn nowhere_with_separate_processes() {
    let collector = Collector::start().await;
    let mut backends = Backends::with_accounts().await;
    export_to(&mut backends, &collector);
    let mut world = World::start_apart_on(Provider::sandbox().await, backends).await;
    let mut scene = play(&world).await;
    for part in [
        "edge",
        "catalog",
        "access-request",
        "registration",
        "gateway",
        "notification",
        "accounts",
    ] {
        scene.secret(
            &format!("NATS password of {part}"),
            &format!("p-{part}-secret"),
        );
    }
    scan_what_goes_out(&world, &scene, &collector).await;
    // So that nothing is written while it is read.
    world.portico.kill();

    let dump = programs().unwrap().join("pg_dump");
    let dump = Command::new(dump)
        .arg(world.database_url())
        .output()
        .unwrap();
    assert!(dump.status.success());
    scene.look(&scene.all, "the dump", &dump.stdout);
    let data = world.backends.postgres().data();
    assert!(scene.all.assert_absent_below(&data) >= 100);
    let written_ahead = folder_bytes(&data.join("pg_wal"));
    scene.look(&scene.all, "the write-ahead log", &written_ahead);

    // Messages and what is kept of consumers. Reasons go to those who are told them by mail.
    let bus = world.backends.nats().data();
    assert!(scene.all.assert_absent_below(&bus) >= 10);
    scene.look(&scene.all, "the bus", &folder_bytes(&bus));

    let log = world.portico.log();
    assert!(log.contains("TRACE"), "the log has not every level");
    scene.look(&scene.said, "the logs", log.as_bytes());
}

fn folder_bytes(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    visit(folder, &mut |path| {
        all.extend(std::fs::read(path).unwrap_or_default());
    });
    all
}

/// Folder and files are their user's only.
fn others_can_read_nothing(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let closed = |path: &Path| {
        // Journals come and go.
        let Ok(found) = std::fs::metadata(path) else {
            return;
        };
        let mode = found.permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    };
    closed(folder);
    visit(folder, &mut |path| closed(path));
}

fn visit(folder: &Path, look: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, look);
        } else {
            look(&path);
        }
    }
}
