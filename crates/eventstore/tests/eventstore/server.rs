//! The PostgreSQL server of the tests.

use portico_eventstore::sqlx::{AnyConnection, Connection as _, Executor as _, Row as _};
use portico_trials::{POSTGRESQL, Postgres, Trial, trials};

pub(crate) fn trials() -> Vec<Trial> {
    trials!(single, [POSTGRESQL]; data_outlives_a_kill)
}

async fn data_outlives_a_kill() {
    let mut server = Postgres::start().await;
    let url = server.fresh_database().await;
    assert_ne!(url, server.fresh_database().await);
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    connection
        .execute("CREATE TABLE numbers (n BIGINT)")
        .await
        .unwrap();
    connection
        .execute("INSERT INTO numbers VALUES (7)")
        .await
        .unwrap();
    server.kill().unwrap();
    assert!(AnyConnection::connect(&url).await.is_err());
    server.restart().await.unwrap();
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    let row = connection.fetch_one("SELECT n FROM numbers").await.unwrap();
    assert_eq!(row.get::<i64, _>(0), 7);
    drop(server);
    assert!(AnyConnection::connect(&url).await.is_err());
}
