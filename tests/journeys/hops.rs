//! What one access request costs at the database, from its submission to the mail: statements, and commits that write.
//! Hops come back unseen otherwise: each is small, and all of them are one after the other.
//!
//! PostgreSQL counts: statements by `pg_stat_statements`, commits that write by the transaction ids that it gives out.
//! What an installation does anyway in the same time is measured beside it and taken off. The bounds leave room for
//! what is decided by chance, such as a poll that falls into the time.

use std::time::{Duration, Instant};

use http::StatusCode;
use portico_eventstore::sqlx::{self, AnyConnection, Connection as _, Row as _};
use portico_trials::{NATS, NatsServer, POSTGRESQL, Postgres, Trial, trials};

use crate::support::{
    actions::{Configured, DEVELOPER_EMAIL},
    until,
    world::{Backends, Provider, World},
};

/// Access requests, one after the other.
const REQUESTS: usize = 10;
/// Statements and writing commits of each at most.
const STATEMENTS: f64 = 255.0;
const COMMITS: f64 = 40.0;

pub(crate) fn trials() -> Vec<Trial> {
    trials!(single, [POSTGRESQL, NATS]; an_access_request_costs_so_many_statements_and_commits)
}

async fn an_access_request_costs_so_many_statements_and_commits() {
    let postgres = Postgres::start_with(&[
        "fsync=off",
        "full_page_writes=off",
        "autovacuum=off",
        "shared_preload_libraries=pg_stat_statements",
    ])
    .await;
    let nats = NatsServer::start().await.unwrap();
    let backends = Backends::of(&[
        ("PORTICO_DATABASE_URL", postgres.fresh_database().await),
        ("PORTICO_NATS_URL", nats.url()),
    ]);
    let mut meter = Meter::of(&postgres.url()).await;
    let world = World::start(Provider::sandbox().await, backends).await;
    let portal = world.configure().await;
    // What is prepared and remembered once.
    request(&world, &portal).await;

    let (began, before) = (Instant::now(), meter.read().await);
    for _ in 0..REQUESTS {
        request(&world, &portal).await;
    }
    let (took, after) = (began.elapsed(), meter.read().await);
    let (began, idle_before) = (Instant::now(), meter.read().await);
    tokio::time::sleep(took.max(Duration::from_secs(5))).await;
    let (idle, idle_after) = (began.elapsed(), meter.read().await);

    let share = took.as_secs_f64() / idle.as_secs_f64();
    let each = |at: usize| {
        let anyway = (idle_after[at] - idle_before[at]) * share;
        (after[at] - before[at] - anyway) / REQUESTS as f64
    };
    let (statements, commits) = (each(0), each(1));
    let anyway = (idle_after[0] - idle_before[0]) / idle.as_secs_f64();
    println!(
        "an access request: {statements:.1} statements, {commits:.1} commits that write; idle: {anyway:.1} statements a \
         second"
    );
    assert!(statements > 50.0 && commits > 10.0, "nothing was counted");
    assert!(statements <= STATEMENTS, "{statements} statements");
    assert!(commits <= COMMITS, "{commits} commits that write");
}

/// From the submission to the mail that says that it is active.
async fn request(world: &World, portal: &Configured) {
    let told = || {
        let mails = world.mail.messages().into_iter();
        mails
            .filter(|mail| mail.envelope_to.iter().any(|to| to == DEVELOPER_EMAIL))
            .count()
    };
    let before = told();
    let (request, _) = portal.submit(&portal.payments, None).await;
    let answer = world.act(&world.admin, &request, "approve").await;
    answer.expect(StatusCode::ACCEPTED).unwrap();
    until("the developer is told", || async {
        (told() > before).then_some(())
    })
    .await;
}

/// Counts since the server's start.
struct Meter(AnyConnection);

impl Meter {
    async fn of(url: &str) -> Self {
        let mut connection = AnyConnection::connect(url).await.unwrap();
        sqlx::raw_sql("CREATE EXTENSION pg_stat_statements")
            .execute(&mut connection)
            .await
            .unwrap();
        Self(connection)
    }

    /// Statements, and transactions that wrote.
    async fn read(&mut self) -> [f64; 2] {
        let row = sqlx::query(
            "SELECT CAST((SELECT SUM(calls) FROM pg_stat_statements) AS DOUBLE PRECISION), \
             CAST(CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS TEXT) AS BIGINT) AS DOUBLE PRECISION)",
        )
        .fetch_one(&mut self.0)
        .await
        .unwrap();
        [row.get(0), row.get(1)]
    }
}
