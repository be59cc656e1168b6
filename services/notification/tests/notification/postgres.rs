//! What depends on the database, on a real PostgreSQL: the list of deliveries and its rebuild.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failure is the end of the test"
)]
#![expect(
    dead_code,
    unused_imports,
    reason = "the other tests of these modules run on SQLite only"
)]

mod doubles;
mod recovery;
mod support;

use portico_trials::{POSTGRESQL, Postgres, trials};
use support::Setup;

fn main() -> std::process::ExitCode {
    portico_trials::run([trials!(single, [POSTGRESQL]; postgresql_gives_the_same_list)])
}

async fn postgresql_gives_the_same_list() {
    let mut setup = Setup::new().await;
    setup.set("PORTICO_DATABASE_URL", &Postgres::shared_database().await);
    recovery::rebuild(setup).await;
}
