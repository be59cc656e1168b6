//! Backed up while it runs, brought back elsewhere: credentials can be read, and the flow goes on.

use std::{collections::BTreeMap, path::Path, process::Command};

use portico_eventstore::sqlx::{self, AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use portico_trials::{
    NATS, NatsServer, POSTGRESQL, Trial,
    postgres::{Postgres, programs},
    trials,
};

use crate::support::{
    actions::{Configured, Credentials, DEVELOPER_EMAIL, DEVELOPER_PASSWORD},
    process::{ADMIN_EMAIL, ADMIN_PASSWORD, Portico, Settings, command},
    world::{Backends, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = trials!(single, []; files_are_backed_up_and_restored);
    trials.extend(trials!(single, [POSTGRESQL, NATS]; a_dump_of_postgresql_is_restored));
    trials
}

/// A key that is none of anybody's.
const FOREIGN_KEK: &str = "3q2+78r+ur4BAgMEBQYHCAkKCwwNDg8QERITFBUWFxg=";

/// A provider whose registration access tokens outlive an update, as a restored one must (docs/run/backup.md).
pub(crate) async fn provider() -> Provider {
    let provider = Provider::sandbox().await;
    if let Provider::Sandbox(sandbox) = &provider {
        sandbox.behave(|behaviour| behaviour.keep_token_on_update = true);
    }
    provider
}

async fn files_are_backed_up_and_restored() {
    let mut world = World::start(provider().await, Backends::embedded()).await;
    let mut portal = world.configure().await;
    let (first, application) = portal.submit(&portal.payments, None).await;
    world.approve(&first).await;
    let credentials = portal.credentials(&application).await;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portico.backup");
    let path = file.to_str().unwrap();
    let old = world.portico.settings();
    let (well, said) = command(&old, &["backup", path]).await;
    assert!(well, "{said}");
    assert!(said.contains("is not included"), "{said}");
    let (well, said) = command(&old, &["backup", path]).await;
    assert!(!well && said.contains("exists already"), "{said}");

    // More is done, which the backup does not have.
    let (second, _) = portal.submit(&portal.orders, Some(&application)).await;
    world.approve(&second).await;

    let new = Settings {
        data_dir: folder.path().join("restored"),
        ..old.clone()
    };
    refused(&old, &new, path).await;
    world.portico.kill();
    let data = new.data_dir.join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::copy(world.portico.data_dir().join("kek"), data.join("kek")).unwrap();
    // What volumes and people leave there.
    std::fs::create_dir(data.join("lost+found")).unwrap();
    std::fs::write(data.join(".notes"), "").unwrap();
    let (well, said) = command(&new, &["restore", path]).await;
    assert!(well, "{said}");
    let (well, said) = command(&new, &["restore", path]).await;
    assert!(!well && said.contains("is not empty"), "{said}");

    goes_on(
        &mut world,
        &mut portal,
        new.clone(),
        &application,
        &credentials,
    )
    .await;

    world.portico.kill();
    let live = dump(&data).await;
    let (well, said) = command(&new, &["replay"]).await;
    assert!(well, "{said}");
    assert_eq!(
        dump(&data).await,
        live,
        "views are not what a rebuild gives"
    );
}

/// Without or with another key, damaged, or where something runs or is: no, and why; and nothing is left behind.
async fn refused(old: &Settings, new: &Settings, file: &str) {
    let (well, said) = command(old, &["restore", file]).await;
    let in_use = said.contains("another Portico process uses it") || said.contains("is not empty");
    assert!(!well && in_use, "{said}");
    let data = new.data_dir.join("data");
    let (well, said) = command(new, &["restore", file]).await;
    assert!(
        !well && said.contains("is needed and not in the backup"),
        "{said}"
    );
    let mut foreign = new.clone();
    let key = ("PORTICO_KEK".to_owned(), FOREIGN_KEK.to_owned());
    foreign.environment.push(key);
    let (well, said) = command(&foreign, &["restore", file]).await;
    assert!(
        !well && said.contains("under the key-encryption key"),
        "{said}"
    );
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let damaged = format!("{file}.damaged");
    std::fs::write(&damaged, &bytes).unwrap();
    let (well, said) = command(new, &["restore", &damaged]).await;
    assert!(!well && said.contains("is missing or damaged"), "{said}");
    std::fs::write(&damaged, &bytes[..middle]).unwrap();
    let (well, said) = command(new, &["restore", &damaged]).await;
    assert!(!well && said.contains("not a complete backup"), "{said}");
    let left: Vec<_> = std::fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != "lock")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The restored Portico, with what is around it as it was left.
pub(crate) async fn goes_on(
    world: &mut World,
    portal: &mut Configured,
    settings: Settings,
    application: &str,
    credentials: &Credentials,
) {
    world.portico = Portico::start(settings).await;
    let anonymous = world.portico.anonymous();
    world.admin = anonymous
        .sign_in(ADMIN_EMAIL, ADMIN_PASSWORD)
        .await
        .unwrap();
    portal.developer = anonymous
        .sign_in(DEVELOPER_EMAIL, DEVELOPER_PASSWORD)
        .await
        .unwrap();
    let now = portal.credentials(application).await;
    assert_eq!(&now, credentials, "credentials can be read as they were");
    let (_, status) = world
        .call(&now, "product_payments free_plan", "payments")
        .await;
    assert_eq!(status, 200);
    // What was done after the backup is done again: the same client, which has the scope at the provider already.
    let (again, _) = portal.submit(&portal.orders, Some(application)).await;
    world.approve(&again).await;
    let grown = portal.credentials(application).await;
    assert_eq!(grown.scopes, "free_plan product_orders product_payments");
    assert_eq!(grown.client_id, credentials.client_id);
    let (_, status) = world
        .call(&grown, "product_orders free_plan", "orders")
        .await;
    assert_eq!(status, 200);
    assert_eq!(world.provider.client_count().await, 1);
}

async fn a_dump_of_postgresql_is_restored() {
    let (postgres, mut nats) = (Postgres::start().await, NatsServer::start().await.unwrap());
    let backends = Backends::of(&[
        ("PORTICO_DATABASE_URL", postgres.url()),
        ("PORTICO_NATS_URL", nats.url()),
        ("FAULT_LEASE_MS", "5000".to_owned()),
    ]);
    let mut world = World::start(provider().await, backends).await;
    let mut portal = world.configure().await;
    let (first, application) = portal.submit(&portal.payments, None).await;
    world.approve(&first).await;
    let credentials = portal.credentials(&application).await;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portico.dump");
    let file = file.to_str().unwrap();
    run(
        "pg_dump",
        &["--format=custom", "--file", file, &postgres.url()],
    );
    let (second, _) = portal.submit(&portal.orders, Some(&application)).await;
    world.approve(&second).await;

    // While it runs, keys are wrapped anew, of one service or of all; views are not rebuilt.
    let running = world.portico.settings();
    let (well, said) = command(&running, &["rewrap", "--service", "registration"]).await;
    assert!(well && said.starts_with("registration: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let (well, said) = command(&running, &["replay", "--service", "catalog"]).await;
    assert!(
        !well && said.contains("another process runs this service"),
        "{said}"
    );

    // As docs/run/backup.md says: stop, an empty database, an empty bus, restore, publish everything again, start.
    world.portico.kill();
    let url = postgres.fresh_database().await;
    run("pg_restore", &["--exit-on-error", "--dbname", &url, file]);
    nats.wipe().unwrap();
    nats.restart().await.unwrap();
    let mut settings = world.portico.settings();
    settings
        .environment
        .retain(|(name, _)| name != "PORTICO_DATABASE_URL");
    settings
        .environment
        .push(("PORTICO_DATABASE_URL".to_owned(), url));
    let (well, said) = command(&settings, &["relay", "--from", "0"]).await;
    assert!(well, "{said}");
    goes_on(
        &mut world,
        &mut portal,
        settings,
        &application,
        &credentials,
    )
    .await;
}

fn run(program: &str, arguments: &[&str]) {
    let program = programs().unwrap().join(program);
    let output = Command::new(&program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Every row of every table of every service, as text. Leases, and what the relay and consumers have
/// done, are not of the log.
async fn dump(data: &Path) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(data).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|ending| ending != "db") {
            continue;
        }
        let url = format!("sqlite://{}?mode=rw", file.display());
        let mut connection = AnyConnection::connect(&url).await.unwrap();
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN \
                      ('leases', 'checkpoints', 'republishing', 'low_water_marks', 'published', \
                      '_sqlx_migrations')";
        for table in texts(&mut connection, tables).await {
            let columns =
                format!("SELECT 'quote(\"' || name || '\")' FROM pragma_table_info('{table}')");
            let columns = texts(&mut connection, &columns).await.join(" || '|' || ");
            let mut rows = texts(
                &mut connection,
                &format!("SELECT {columns} FROM \"{table}\""),
            )
            .await;
            rows.sort_unstable();
            all.insert(format!("{}/{table}", file.display()), rows);
        }
        connection.close().await.unwrap();
    }
    assert!(all.values().flatten().count() > 20, "something was read");
    all
}

async fn texts(connection: &mut AnyConnection, query: &str) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(query.to_owned()))
        .fetch_all(connection)
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
