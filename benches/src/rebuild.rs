//! Rebuild of a view, against copying the whole event table out.

use std::time::Instant;

use portico_eventstore::Database;
use portico_trials::postgres::{Postgres, programs};
use sqlx::{AnyConnection, Connection as _, Executor as _};

use crate::{
    log::{fill, message, store},
    ratio::{Aim, Rounds, compare, skipped},
};

/// Events per second on PostgreSQL.
pub(crate) async fn measure(rounds: &Rounds, events: i64) -> Result<(), String> {
    if programs().is_none() {
        skipped("rebuild", "PostgreSQL is not installed");
        return Ok(());
    }
    let server = Postgres::start_with(&["fsync=on"]).await;
    let database = Database::open(&server.url(), "bench", &[])
        .await
        .map_err(message)?;
    let store = store(database, true).await?;
    fill(&store, events).await?;
    let mut connection = AnyConnection::connect(&server.url())
        .await
        .map_err(message)?;
    compare(
        rounds,
        &format!("rebuild, {events} events, events a second"),
        "COPY of the table to /dev/null",
        Aim::AtLeast(0.5),
        async || {
            let began = Instant::now();
            let position = store.replay(|_| ()).await.map_err(message)?;
            Ok(position as f64 / began.elapsed().as_secs_f64())
        },
        async || {
            let began = Instant::now();
            let copied = connection
                .execute("COPY portico_bench.events TO '/dev/null'")
                .await
                .map_err(message)?;
            Ok(copied.rows_affected() as f64 / began.elapsed().as_secs_f64())
        },
    )
    .await
}
