//! What depends on the database, on a real PostgreSQL: every query, the rules of the views, the rebuild.

use portico_eventstore::testing::postgres::Postgres;

use crate::{applications, checkout, decisions, lists, support::Portal, watch};

#[tokio::test]
async fn the_same_holds_on_postgresql() {
    let Some(server) = Postgres::start_or_skip().await else {
        return;
    };
    let portal = async || Portal::on_postgres(server.fresh_database().await).await;
    lists::requests(&portal().await).await;
    lists::applications(&portal().await).await;
    checkout::rules(&portal().await).await;
    watch::resumes(&portal().await).await;
    decisions::race(&portal().await).await;
    let last = portal().await;
    applications::in_use(&last).await;
    let live = last.views().await;
    last.store.replay(|_| {}).await.unwrap();
    assert_eq!(last.views().await, live);
}
