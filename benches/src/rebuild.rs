//! Rebuild of a view, against copying the whole event table out and the finished view in, with its indexes.

use std::{cell::RefCell, os::unix::fs::PermissionsExt as _, time::Instant};

use portico_eventstore::Database;
use portico_trials::postgres::{Postgres, programs};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

use crate::{
    log::{fill, message, store},
    ratio::compare,
    rounds::Rounds,
    row::Aim,
};

/// Events per second on PostgreSQL.
pub(crate) async fn measure(rounds: &Rounds, events: i64) -> Result<(), String> {
    if programs().is_none() {
        rounds.skipped("rebuild", "PostgreSQL is not installed");
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
    let folder = tempfile::tempdir().map_err(message)?;
    // The server runs as another user.
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).map_err(message)?;
    let view = folder.path().join("notes").display().to_string();
    run(
        &mut connection,
        &format!("COPY portico_bench.notes TO '{view}'"),
    )
    .await?;
    let mut times = RefCell::new(Vec::new());
    compare(
        rounds,
        &format!("rebuild, {events} events"),
        "COPY of the events out, of the view in",
        Aim::AtLeast(0.5),
        async || {
            let began = Instant::now();
            let position = store.replay(|_| ()).await.map_err(message)?;
            let seconds = began.elapsed().as_secs_f64();
            times
                .borrow_mut()
                .push(seconds * 1_000_000.0 / position as f64);
            Ok(position as f64 / seconds)
        },
        async || copy_rate(&mut connection, &view).await,
    )
    .await?;
    rounds.bound(
        "rebuild, for a million events",
        "s",
        std::mem::take(times.get_mut()),
        10.0,
    );
    Ok(())
}

/// Copies the events out and the finished view in, with its indexes; events a second.
async fn copy_rate(connection: &mut AnyConnection, view: &str) -> Result<f64, String> {
    let began = Instant::now();
    let copied = run(connection, "COPY portico_bench.events TO '/dev/null'").await?;
    run(
        connection,
        "CREATE TABLE copied (LIKE portico_bench.notes INCLUDING ALL)",
    )
    .await?;
    run(connection, &format!("COPY copied FROM '{view}'")).await?;
    let rate = copied as f64 / began.elapsed().as_secs_f64();
    run(connection, "DROP TABLE copied").await?;
    Ok(rate)
}

/// Executes a statement and gives the number of its rows.
async fn run(connection: &mut AnyConnection, sql: &str) -> Result<u64, String> {
    let done = connection.execute(AssertSqlSafe(sql.to_owned())).await;
    Ok(done.map_err(message)?.rows_affected())
}
