//! What commands cost at the database, with all that they cause: statements, and commits that wait for the disk. Hops come
//! back unseen otherwise: each is small, and all of them are one after the other.
//!
//! PostgreSQL counts: statements by `pg_stat_statements`, commits by the transaction ids that it gives out, without those
//! of leases, which do not wait for the disk. What an installation does anyway in the same time is measured before and
//! taken off. The bounds leave room for what is decided by chance, such as a poll that falls into the time.

use std::time::{Duration, Instant};

use http::StatusCode;
use portico_eventstore::sqlx::{self, AnyConnection, Connection as _, Row as _};
use portico_trials::{NATS, NatsServer, POSTGRESQL, Postgres, Trial, trials};
use serde_json::{Value, json};

use crate::support::{
    actions::{Configured, DEVELOPER_EMAIL, DEVELOPER_PASSWORD, id, made},
    until,
    world::{Backends, Provider, World},
};

/// How often each command is given.
const TIMES: usize = 10;
/// Statements and commits of an access request with OAuth credentials and a gateway, from its submission to the mail that
/// says that it is active.
const ACCESS_REQUEST: [f64; 2] = [140.0, 30.0];

pub(crate) fn trials() -> Vec<Trial> {
    trials!(single, [POSTGRESQL, NATS]; commands_cost_so_many_statements_and_commits)
}

async fn commands_cost_so_many_statements_and_commits() {
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
    let house = House { world, portal };
    // What is prepared and remembered once; and the first look at what admins have dropped.
    house.active().await;
    meter.idle().await;

    let mut requests = Vec::new();
    let mut costs = vec![(
        "an access request until it is active",
        meter
            .cost(async || requests.push(house.active().await))
            .await,
        ACCESS_REQUEST,
    )];
    for (what, bound, command) in COMMANDS {
        let mut given = requests.iter();
        let cost = meter.cost(async || {
            let request = given.next().unwrap();
            house.give(*command, request).await;
        });
        costs.push((what, cost.await, *bound));
    }
    println!("idle: {:.1} statements a second", meter.idle[0]);
    for (what, [statements, commits], _) in &costs {
        println!("{what}: {statements:.1} statements, {commits:.1} commits");
    }
    for (what, cost, bound) in costs {
        assert!(cost[0] >= 1.0, "{what}: nothing was counted");
        assert!(
            cost[0] <= bound[0] && cost[1] <= bound[1],
            "{what}: {cost:?} is more than {bound:?}"
        );
    }
}

/// Each with its bound of statements and commits, and with all that it causes.
const COMMANDS: &[(&str, [f64; 2], Command)] = &[
    ("suspend it", [92.0, 21.0], Command::Act("suspend")),
    ("resume it", [98.0, 22.0], Command::Act("resume")),
    ("revoke it", [90.0, 21.0], Command::Act("revoke")),
    (
        "submit and reject another one",
        [50.0, 12.0],
        Command::Reject,
    ),
    ("create an application", [8.0, 3.0], Command::Application),
    (
        "create and publish a product",
        [20.0, 8.0],
        Command::Product,
    ),
    ("sign in", [12.0, 4.0], Command::SignIn),
];

#[derive(Clone, Copy)]
enum Command {
    Act(&'static str),
    Reject,
    Application,
    Product,
    SignIn,
}

struct House {
    world: World,
    portal: Configured,
}

impl House {
    /// Runs what ends with a mail to the developer.
    async fn told<T>(&self, work: impl Future<Output = T>) -> T {
        let told = || {
            let mails = self.world.mail.messages().into_iter();
            let to_developer = |to: &String| to == DEVELOPER_EMAIL;
            mails
                .filter(|mail| mail.envelope_to.iter().any(to_developer))
                .count()
        };
        let before = told();
        let done = work.await;
        until("the developer is told", || async {
            (told() > before).then_some(())
        })
        .await;
        done
    }

    async fn act(&self, request: &str, action: &str) {
        let answer = self.world.act(&self.world.admin, request, action).await;
        answer.expect(StatusCode::ACCEPTED).unwrap();
    }

    async fn active(&self) -> String {
        self.told(async {
            let (request, _) = self.portal.submit(&self.portal.payments, None).await;
            self.act(&request, "approve").await;
            request
        })
        .await
    }

    async fn give(&self, command: Command, request: &str) {
        let (admin, developer) = (&self.world.admin, &self.portal.developer);
        match command {
            Command::Act(action) => self.told(self.act(request, action)).await,
            Command::Reject => {
                let submitted = self.portal.submit(&self.portal.payments, None);
                let rejected = async { self.act(&submitted.await.0, "reject").await };
                self.told(rejected).await;
            }
            Command::Application => {
                let body = json!({"name": "Shop", "description": "", "redirect_urls": [], "visibility": "personal"});
                made(developer, "/api/v1/applications", body).await;
            }
            Command::Product => {
                let scope = format!("product_{}", request.replace('-', "_"));
                let body = json!({"name": scope, "description": "", "dcr_enabled": true, "scopes": scope,
                    "client_type_ids": [self.portal.client_type_id], "visibility": "public", "tags": [], "apis": []});
                let product = made(admin, "/api/v1/products", body).await;
                let path = format!("/api/v1/products/{}/publish", id(&product));
                let published = admin.post(&path, Value::Null).await.unwrap();
                published.expect(StatusCode::OK).unwrap();
            }
            Command::SignIn => {
                let anonymous = self.world.portico.anonymous();
                let signed_in = anonymous.sign_in(DEVELOPER_EMAIL, DEVELOPER_PASSWORD);
                signed_in.await.unwrap();
            }
        }
    }
}

/// Counts since the server's start.
struct Meter {
    connection: AnyConnection,
    /// A second, of an installation that does nothing.
    idle: [f64; 2],
}

impl Meter {
    async fn of(url: &str) -> Self {
        let mut connection = AnyConnection::connect(url).await.unwrap();
        sqlx::raw_sql("CREATE EXTENSION pg_stat_statements")
            .execute(&mut connection)
            .await
            .unwrap();
        let idle = [0.0; 2];
        Self { connection, idle }
    }

    async fn idle(&mut self) {
        let (began, before) = (Instant::now(), self.read().await);
        tokio::time::sleep(Duration::from_secs(6)).await;
        let (took, after) = (began.elapsed().as_secs_f64(), self.read().await);
        self.idle = [0, 1].map(|at| (after[at] - before[at]) / took);
    }

    /// Of one command, with what follows from it.
    async fn cost(&mut self, mut command: impl AsyncFnMut()) -> [f64; 2] {
        let (began, before) = (Instant::now(), self.read().await);
        for _ in 0..TIMES {
            command().await;
        }
        // Other services take in what was published, and mails are sent.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (took, after) = (began.elapsed().as_secs_f64(), self.read().await);
        [0, 1].map(|at| (after[at] - before[at] - self.idle[at] * took) / TIMES as f64)
    }

    /// Statements, and transactions that wrote something but a lease.
    async fn read(&mut self) -> [f64; 2] {
        let row = sqlx::query(
            "SELECT CAST(SUM(calls) AS DOUBLE PRECISION), \
             CAST(CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS TEXT) AS BIGINT) AS DOUBLE PRECISION) \
             - CAST(COALESCE(SUM(calls) FILTER (WHERE query LIKE '%leases%RETURNING set_config%'), 0) AS DOUBLE PRECISION) \
             FROM pg_stat_statements",
        )
        .fetch_one(&mut self.connection)
        .await
        .unwrap();
        [row.get(0), row.get(1)]
    }
}
