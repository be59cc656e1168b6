//! Nothing that was issued, and nothing personal, stands anywhere in clear, however it is written: on disk, in databases
//! and their logs, on the bus, in logs at the level trace, in traces and metrics, in backups, in mails for others and in
//! the words of errors. Each place also holds something that is not secret, so that it was really read. And nothing that
//! people wrote is left of who is erased.

mod scene;

use std::{path::Path, process::Command};

use http::StatusCode;
use portico_tests::{canaries::Canaries, cluster::KEK};
use portico_trials::{NATS, POSTGRESQL, Trial, postgres::programs, trials};
use serde_json::json;

use self::scene::{
    APPLICATION_DESCRIPTION, APPLICATION_NAME, EMAIL, FORMER_NAME, NAME, REASON, REDIRECT_HOST,
    REDIRECT_URL, SMTP_PASSWORD, Scene, play,
};
use crate::{
    support::{
        actions::DEVELOPER_EMAIL,
        collector::Collector,
        process::{ADMIN_EMAIL, ADMIN_PASSWORD, Portico, command},
        until,
        world::{Backends, Provider, World},
    },
    traces::export_to,
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut all = trials!(single, []; nowhere_in_one_process);
    all.extend(trials!(single, [POSTGRESQL, NATS]; nowhere_with_separate_processes));
    all
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
