//! What depends on the database, on a real PostgreSQL: every query, the rules of the views, the rebuild.

#![expect(clippy::unwrap_used, reason = "a failure is the end of the test")]
#![expect(
    dead_code,
    unused_imports,
    reason = "the other tests of these modules run on SQLite only"
)]

mod actor;
mod applications;
mod catalogue;
mod checkout;
mod decisions;
mod doubles;
mod erasure;
mod lists;
mod support;
mod watch;

use std::sync::Arc;

use doubles::World;
use portico_bus::MemoryBus;
use portico_eventstore::testing::assert_equal_a_rebuild;
use portico_trials::{POSTGRESQL, Postgres, trials};
use support::Portal;

fn main() -> std::process::ExitCode {
    portico_trials::run([trials!(single, [POSTGRESQL]; the_same_holds_on_postgresql)])
}

async fn portal() -> Portal {
    let data = Arc::new(tempfile::tempdir().unwrap());
    let url = Postgres::shared_database().await;
    let mut portal = Portal::on(data, Some(url), World::default(), MemoryBus::new()).await;
    portal.run().await;
    portal
}

async fn the_same_holds_on_postgresql() {
    lists::requests(&portal().await).await;
    lists::applications(&portal().await).await;
    checkout::rules(&portal().await).await;
    catalogue::scopes_follow(&portal().await).await;
    watch::resumes(&portal().await).await;
    decisions::race(&portal().await).await;
    erasure::gone_with_them(&portal().await).await;
    let last = portal().await;
    applications::in_use(&last).await;
    assert_equal_a_rebuild(&last.store).await;
}
