//! What docs/run/backup.md says of PostgreSQL, run as it stands there: a dump with the services' roles on another server,
//! and the instant before something went wrong.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, path::Path};

use http::StatusCode;
use portico_eventstore::sqlx::{self, AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use portico_trials::{NATS, NatsServer, POSTGRESQL, Trial, postgres::Postgres, trials};

use crate::{
    backup::{goes_on, provider},
    support::{
        actions::{DEVELOPER_EMAIL, DEVELOPER_PASSWORD},
        documented,
        process::{ADMIN_EMAIL, ADMIN_PASSWORD},
        until,
        world::{Backends, Provider, World},
    },
};

const PAGE: &str = "docs/run/backup.md";
/// Two services may not see each other's rows, which is checked by the way.
const ANOTHERS: &str = "SELECT COUNT(*) FROM portico_accounts.events";

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = trials!(multi, [POSTGRESQL, NATS]; a_dump_is_restored_with_the_services_roles);
    trials.extend(trials!(single, [POSTGRESQL, NATS]; an_instant_is_recovered));
    trials
}

async fn a_dump_is_restored_with_the_services_roles() {
    let folder = tempfile::tempdir().unwrap();
    let backends = Backends::with_accounts().await;
    let backends = backends.with_roles(folder.path()).await;
    let mut world = World::start_apart_on(Provider::sandbox().await, backends).await;
    let portal = world.configure().await;
    let (request, application) = portal.submit(&portal.payments, None).await;
    world.approve(&request).await;
    let credentials = portal.credentials(&application).await;
    // So that nothing is written between the dump and the count.
    world.portico.kill();
    let backup = ("BACKUP", folder.path().display().to_string());
    let mut environment = world.backends.postgres().client();
    environment.push(backup.clone());
    documented::run(PAGE, "Dump", &environment);
    let before = counts(&world.database_url()).await;
    assert!(before.values().sum::<i64>() > 100, "{before:?}");

    let server = Postgres::start().await;
    let (base, _) = server.url().rsplit_once('/').map(owned).unwrap();
    let url = format!("{base}/restored");
    let mut environment = server.client();
    environment.retain(|(name, _)| *name != "PORTICO_DATABASE_URL");
    environment.extend([
        backup,
        ("POSTGRES_DB", "restored".to_owned()),
        (
            "SECRETS",
            folder.path().join("secrets").display().to_string(),
        ),
        ("PORTICO_DATABASE_URL", url.clone()),
    ]);
    documented::run(PAGE, "Restore a dump", &environment);
    assert_eq!(counts(&url).await, before);
    world.backends.nats().wipe().unwrap();
    world.backends.nats().restart().await.unwrap();
    documented::run(PAGE, "Afterwards", &environment);

    let of_service = url.replace("postgres@", "portico_{service}@");
    world.portico.as_cluster().move_to(of_service).await;
    let anonymous = world.portico.anonymous();
    let admin = anonymous.sign_in(ADMIN_EMAIL, ADMIN_PASSWORD).await;
    world.admin = admin.unwrap();
    let mut portal = portal;
    let developer = anonymous.sign_in(DEVELOPER_EMAIL, DEVELOPER_PASSWORD).await;
    portal.developer = developer.unwrap();
    assert_eq!(portal.credentials(&application).await, credentials);
    let (request, _) = portal.submit(&portal.orders, Some(&application)).await;
    world.approve(&request).await;

    let catalog = url.replace("postgres@", "portico_catalog@");
    let mut catalog = AnyConnection::connect(&catalog).await.unwrap();
    let refused = sqlx::query(ANOTHERS).fetch_one(&mut catalog).await;
    let refused = refused.map(drop).unwrap_err().to_string();
    assert!(refused.contains("permission denied"), "{refused}");
}

fn owned((one, two): (&str, &str)) -> (String, String) {
    (one.to_owned(), two.to_owned())
}

/// Rows of every table of every service.
async fn counts(url: &str) -> BTreeMap<String, i64> {
    let mut connection = AnyConnection::connect(url).await.unwrap();
    let tables = "SELECT schemaname || '.' || tablename FROM pg_catalog.pg_tables \
                  WHERE schemaname LIKE 'portico\\_%'";
    let tables = sqlx::query(tables).fetch_all(&mut connection).await;
    let mut counts = BTreeMap::new();
    for table in tables.unwrap() {
        let table: String = table.get(0);
        let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let count = sqlx::query(count).fetch_one(&mut connection).await;
        counts.insert(table, count.unwrap().get(0));
    }
    counts
}

/// The second of two requests is what went wrong.
async fn an_instant_is_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("wal");
    std::fs::create_dir(&archive).unwrap();
    // PostgreSQL runs as another user.
    for folder in [folder.path(), &archive] {
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o777)).unwrap();
    }
    let settings = archiving(folder.path());
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let postgres = Postgres::start_with(&settings).await;
    let mut nats = NatsServer::start().await.unwrap();
    let backends = Backends::of(&[
        ("PORTICO_DATABASE_URL", postgres.url()),
        ("PORTICO_NATS_URL", nats.url()),
    ]);
    let mut world = World::start(provider().await, backends).await;
    let mut portal = world.configure().await;
    let backup = ("BACKUP", folder.path().display().to_string());
    let mut environment = postgres.client();
    environment.push(backup.clone());
    documented::run(PAGE, "Base backup", &environment);

    let (kept, application) = portal.submit(&portal.payments, None).await;
    world.approve(&kept).await;
    let credentials = portal.credentials(&application).await;
    let mut database = AnyConnection::connect(&postgres.url()).await.unwrap();
    let instant = text(&mut database, "SELECT clock_timestamp()::text").await;
    let (lost, _) = portal.submit(&portal.orders, Some(&application)).await;
    world.portico.kill();
    let last = "SELECT pg_walfile_name(pg_switch_wal())";
    let last = text(&mut database, last).await;
    until("the log is archived", || async {
        archive.join(&last).is_file().then_some(())
    })
    .await;
    drop(database);
    drop(postgres);

    let recovered = Postgres::start_on(&settings, |data| {
        let environment = [
            backup.clone(),
            ("PGDATA", data.display().to_string()),
            ("INSTANT", instant.clone()),
        ];
        documented::run(PAGE, "Recover to an instant", &environment);
    })
    .await;
    writes_again(&recovered.url()).await;
    nats.wipe().unwrap();
    nats.restart().await.unwrap();
    let mut environment = recovered.client();
    environment.push(("PORTICO_NATS_URL", nats.url()));
    documented::run(PAGE, "Afterwards", &environment);
    let mut settings = world.portico.settings();
    for (name, value) in &mut settings.environment {
        if name == "PORTICO_DATABASE_URL" {
            *value = recovered.url();
        }
    }
    goes_on(
        &mut world,
        &mut portal,
        settings,
        &application,
        &credentials,
    )
    .await;
    let path = |request: &str| format!("/api/v1/access-requests/{request}");
    let kept = world.admin.get(&path(&kept)).await.unwrap();
    assert_eq!(kept.expect(StatusCode::OK).unwrap()["status"], "active");
    let lost = world.admin.get(&path(&lost)).await.unwrap();
    assert_eq!(lost.status, StatusCode::NOT_FOUND);
}

/// What the page has for `postgresql.conf`, with this folder for backups.
fn archiving(backup: &Path) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join(PAGE)).unwrap();
    let settings = page
        .lines()
        .skip_while(|line| *line != "wal_level = replica");
    let settings = settings.take_while(|line| *line != "```");
    let settings: Vec<String> = settings
        .map(|line| {
            let (name, value) = line.split_once(" = ").unwrap();
            let value = value.trim_matches('\'');
            let value = value.replace("/backup", &backup.display().to_string());
            format!("{name}={value}")
        })
        .collect();
    assert_eq!(settings.len(), 4, "{settings:?}");
    settings
}

async fn text(database: &mut AnyConnection, query: &'static str) -> String {
    let row = sqlx::query(query).fetch_one(database).await.unwrap();
    row.get(0)
}

/// It answers before it has ended its recovery.
async fn writes_again(url: &str) {
    let mut database = AnyConnection::connect(url).await.unwrap();
    let recovering = "SELECT pg_is_in_recovery()::text";
    while text(&mut database, recovering).await == "true" {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
