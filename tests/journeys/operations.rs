//! What an operator does, and what needs none: a bus that lost everything, migrations, publishing again.

use http::StatusCode;
use portico_eventstore::sqlx::{self, AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use portico_runtime::ServiceName;
use portico_tests::cluster::Authority;
use portico_trials::{NATS, NatsServer, POSTGRESQL, Postgres, Trial, trials};
use serde_json::{Value, json};

use crate::{
    metrics::scrape,
    support::{
        process::{Portico, Settings, command},
        until,
        world::{Backends, Provider, World},
    },
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = trials!(single, []; embedded_events_are_published_again);
    trials.extend(trials!(single, [POSTGRESQL, NATS];
        a_bus_that_lost_everything_is_told_again,
        events_are_published_again_over_nats,
        what_was_pruned_is_not_done_again,
    ));
    trials.extend(trials!(single, [POSTGRESQL]; processes_that_migrate_at_once_get_on));
    trials.extend(trials!(single, []; not_ready_until_somebody_has_migrated,
        a_service_works_on_no_database_of_another));
    trials
}

async fn servers() -> (Postgres, NatsServer, Backends) {
    let (postgres, nats) = (Postgres::start().await, NatsServer::start().await.unwrap());
    let backends = Backends::of(&[
        ("PORTICO_DATABASE_URL", postgres.url()),
        ("PORTICO_NATS_URL", nats.url()),
    ]);
    (postgres, nats, backends)
}

/// NATS goes and comes back with an empty disk while requests are made and approved.
async fn a_bus_that_lost_everything_is_told_again() {
    let (_postgres, mut nats, backends) = servers().await;
    let world = World::start(Provider::sandbox().await, backends).await;
    let portal = world.configure().await;
    let (first, application) = portal.submit(&portal.payments, None).await;
    world.approve(&first).await;

    nats.wipe().unwrap();
    let (second, _) = portal.submit(&portal.orders, Some(&application)).await;
    let answer = world.act(&world.admin, &second, "approve").await;
    answer.expect(StatusCode::ACCEPTED).unwrap();
    let (third, other) = portal.submit(&portal.payments, None).await;
    nats.restart().await.unwrap();

    world.wait_for_status(&second, "active").await;
    world.approve(&third).await;
    let credentials = portal.credentials(&application).await;
    let scope = "product_orders free_plan";
    assert_eq!(world.call(&credentials, scope, "orders").await.1, 200);
    portal.credentials(&other).await;
    // Everything came twice, and nothing happened twice.
    assert_eq!(world.provider.client_count().await, 2);
    let mails = world.mail.wait_for_count(crate::support::PATIENCE, 6).await;
    assert_eq!(
        mails.unwrap().len(),
        6,
        "a mail for each of three submissions and three accesses"
    );
}

async fn events_are_published_again_over_nats() {
    let (_postgres, _nats, backends) = servers().await;
    published_again(World::start(Provider::sandbox().await, backends).await).await;
}

/// All that is remembered of handled messages is old enough to be pruned, and is; then everything comes again, from the
/// stores and, to consumers that are new there, from the bus.
async fn what_was_pruned_is_not_done_again() {
    let (postgres, nats) = (Postgres::start().await, NatsServer::start().await.unwrap());
    let backends = Backends::of(&[
        ("PORTICO_DATABASE_URL", postgres.url()),
        ("PORTICO_NATS_URL", nats.url()),
        ("PORTICO_RETENTION_EVERY", "200ms".to_owned()),
    ]);
    let world = World::start(Provider::sandbox().await, backends).await;
    let portal = world.configure().await;
    let (first, application) = portal.submit(&portal.payments, None).await;
    world.approve(&first).await;
    let credentials = portal.credentials(&application).await;
    let (second, _) = portal.submit(&portal.orders, Some(&application)).await;
    let answer = world.act(&world.admin, &second, "reject").await;
    answer.expect(StatusCode::ACCEPTED).unwrap();
    world.wait_for_status(&second, "rejected").await;
    let mails = world.mail.wait_for_count(crate::support::PATIENCE, 4).await;
    assert_eq!(mails.expect("two for each request").len(), 4);
    let mut database = AnyConnection::connect(&postgres.url()).await.unwrap();
    prune_all(&mut database).await;

    let settings = world.portico.settings();
    let (well, said) = command(&settings, &["relay", "--from", "0"]).await;
    assert!(well, "{said}");
    until("all is published again", || all_is_published(&world)).await;
    // The flow goes on, behind all that was published again.
    let (third, other) = portal.submit(&portal.payments, None).await;
    world.approve(&third).await;
    portal.credentials(&other).await;
    until("all of it is handled", || all_is_handled(&world)).await;
    let now = portal.credentials(&application).await;
    assert_eq!(now.client_id, credentials.client_id);
    assert_eq!(
        world.provider.client_count().await,
        2,
        "one of each application"
    );
    let mails = world.mail.wait_for_count(crate::support::PATIENCE, 6).await;
    assert_eq!(mails.unwrap().len(), 6, "nobody was told twice");
    let parked = world.admin.get("/api/v1/parked-messages").await.unwrap();
    assert_eq!(parked.expect(StatusCode::OK).unwrap()["items"], json!([]));
}

/// Has months pass for the marks and what they stand for, and waits until the portal has pruned.
async fn prune_all(database: &mut AnyConnection) {
    let schemas = ServiceName::ALL.map(|one| format!("portico_{}", one.as_str().replace('-', "_")));
    for schema in &schemas {
        let raised = format!(
            "UPDATE {schema}.low_water_marks SET since_ms = 0, reached_ms = caught_up_ms + 86400000"
        );
        execute(database, raised).await;
        let noted = format!(
            "INSERT INTO {schema}.published (position, at_ms) \
             SELECT position, 0 FROM {schema}.checkpoints WHERE name LIKE 'relay%' ON CONFLICT DO NOTHING"
        );
        execute(database, noted).await;
    }
    let left = schemas
        .each_ref()
        .map(|schema| format!("(SELECT COUNT(*) FROM {schema}.inbox)"));
    let left = format!("SELECT {}", left.join(" + "));
    let database = tokio::sync::Mutex::new(database);
    until("it is pruned", || async {
        let mut database = database.lock().await;
        for schema in &schemas {
            execute(
                &mut database,
                format!("UPDATE {schema}.inbox SET handled_ms = 0"),
            )
            .await;
        }
        let row = sqlx::query(AssertSqlSafe(left.clone())).fetch_one(&mut **database);
        (row.await.unwrap().get::<i64, _>(0) == 0).then_some(())
    })
    .await;
}

async fn execute(database: &mut AnyConnection, sql: String) {
    let done = sqlx::query(AssertSqlSafe(sql)).execute(database);
    done.await.unwrap();
}

/// No consumer has a message that it has not acknowledged.
async fn all_is_handled(world: &World) -> Option<()> {
    let metrics = scrape(world).await;
    let backlogs: Vec<&str> = metrics
        .lines()
        .filter(|line| line.starts_with("portico_consumer_backlog_messages{"))
        .collect();
    let all = !backlogs.is_empty() && backlogs.iter().all(|line| line.ends_with(" 0"));
    all.then_some(())
}

async fn all_is_published(world: &World) -> Option<()> {
    let answer = world.admin.get("/api/v1/relays").await.unwrap();
    let relays = answer.expect(StatusCode::OK).unwrap();
    let done = |one: &Value| one["republishing"].is_null() && one["position"] == one["head"];
    let mut relays = relays["items"].as_array().unwrap().iter();
    relays.all(done).then_some(())
}

async fn embedded_events_are_published_again() {
    let world = World::start(Provider::sandbox().await, Backends::embedded()).await;
    published_again(world).await;
}

/// By the command, beside a running portal.
async fn published_again(world: World) {
    let portal = world.configure().await;
    let (first, application) = portal.submit(&portal.payments, None).await;
    world.approve(&first).await;
    let credentials = portal.credentials(&application).await;
    let mails = world.mail.wait_for_count(crate::support::PATIENCE, 2).await;
    mails.expect("one to the admin, one to the developer");
    let settings = world.portico.settings();
    let (well, said) = command(&settings, &["relay", "--from", "0"]).await;
    assert!(
        well && said.contains("access-request: events 1 to"),
        "{said}"
    );
    let wrong = command(&settings, &["relay", "--from", "0", "--service", "x"]).await;
    assert!(
        !wrong.0 && wrong.1.contains("must be one of catalog"),
        "{}",
        wrong.1
    );
    until("all is published again", || all_is_published(&world)).await;
    // The flow goes on, behind all that was published again.
    let (second, _) = portal.submit(&portal.orders, Some(&application)).await;
    world.approve(&second).await;
    let now = portal.credentials(&application).await;
    assert_eq!(now.client_id, credentials.client_id);
    assert_eq!(world.provider.client_count().await, 1);
    let mails = world.mail.wait_for_count(crate::support::PATIENCE, 4).await;
    assert_eq!(mails.unwrap().len(), 4, "nobody was told twice");
    let parked = world.admin.get("/api/v1/parked-messages").await.unwrap();
    assert_eq!(parked.expect(StatusCode::OK).unwrap()["items"], json!([]));
}

async fn processes_that_migrate_at_once_get_on() {
    let postgres = Postgres::start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        data_dir: folder.path().to_owned(),
        environment: vec![("PORTICO_DATABASE_URL".to_owned(), postgres.url())],
    };
    let migrate = || command(&settings, &["migrate"]);
    let (first, second) = tokio::join!(migrate(), migrate());
    assert!(first.0 && second.0, "{} {}", first.1, second.1);
    let (well, said) = migrate().await;
    assert!(well, "{said}");
    assert_eq!(said.matches("up to date").count(), 6, "{said}");
}

async fn not_ready_until_somebody_has_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        data_dir: folder.path().to_owned(),
        environment: vec![("PORTICO_DATABASE_MIGRATE".to_owned(), "never".to_owned())],
    };
    std::fs::create_dir_all(folder.path().join("data")).unwrap();
    let portico = Portico::launch(settings.clone());
    let portal = portico.anonymous();
    let ready = until("it answers", || async { portal.get("/readyz").await.ok() }).await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let parts = ready.body["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 6, "{parts:?}");
    assert_eq!(parts[0]["reason"], "migrations_pending");
    let pending = parts[0]["pending"].as_array().unwrap();
    assert!(pending.contains(&json!("0001 events")), "{pending:?}");
    assert_eq!(portal.get("/healthz").await.unwrap().status, StatusCode::OK);
    let (well, said) = command(&settings, &["migrate"]).await;
    assert!(well && said.contains("catalog: 0001 events"), "{said}");
    portico.ready().await;
}

/// By its certificate, whatever its configuration lets it reach.
async fn a_service_works_on_no_database_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    authority.issue("catalog");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let settings = Settings {
        data_dir: folder.path().to_owned(),
        environment: [
            ("CERT", "catalog.pem"),
            ("KEY", "catalog.key"),
            ("CA", "authority.pem"),
        ]
        .map(|(kind, name)| (format!("PORTICO_SERVICES_TLS_{kind}_FILE"), file(name)))
        .to_vec(),
    };
    let (well, said) = command(&settings, &["migrate", "--service", "catalog"]).await;
    assert!(well, "{said}");
    for command_line in [
        &["migrate"][..],
        &[
            "migrate",
            "--service",
            "catalog",
            "--service",
            "registration",
        ],
        &["replay", "--service", "registration"],
        &["rewrap", "--service", "registration"],
        &["relay", "--from", "0", "--service", "registration"],
    ] {
        let (well, said) = command(&settings, command_line).await;
        assert!(!well, "{command_line:?}: {said}");
        assert!(
            said.contains("does not name") && said.contains("registration"),
            "{said}"
        );
    }
    let made = std::fs::read_dir(folder.path().join("data")).unwrap();
    let made: Vec<_> = made.map(|file| file.unwrap().file_name()).collect();
    let of_others = |name: &&std::ffi::OsString| name.to_string_lossy().contains("registration");
    assert!(!made.iter().any(|name| of_others(&name)), "{made:?}");
}
