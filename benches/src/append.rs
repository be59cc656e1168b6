//! Appends with an expected version, against inserting the same rows without a library.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use portico_eventstore::{Database, EventStore};
use portico_trials::postgres::{Postgres, programs};
use sqlx::{AnyConnection, Connection as _, Executor as _};
use uuid::Uuid;

use crate::{
    log::{TEXT, message, store, stream_of},
    ratio::compare,
    rounds::Rounds,
    row::{Aim, some},
};

/// One `pgbench` transaction writes the row of one append: same columns, same indexes, same durability.
const SCRIPT: &str = "INSERT INTO raw.events (position, id, stream, version, type, schema_version, data, metadata, \
     recorded_at) VALUES (nextval('raw.position'), gen_random_uuid()::text, 'note-' || gen_random_uuid()::text, 1, \
     'note.written', 1, '{\"text\":\"TEXT\",\"subject\":\"' || gen_random_uuid()::text || '\"}', \
     '{\"actor\":\"' || gen_random_uuid()::text || '\",\"correlation\":\"' || gen_random_uuid()::text || \
     '\",\"causation\": null}', now()::text);\n";

/// Delays each sync by 2 ms, as a network disk does: whoever syncs sleeps first, holding the lock of the log, and takes
/// along who arrives meanwhile. The same on both sides.
const SLOW_DISK: [&str; 3] = ["fsync=on", "commit_delay=2000", "commit_siblings=0"];

/// 1, 16 and 64 clients on PostgreSQL with `fsync` on; 16 and 64 on a disk that syncs slowly.
pub(crate) async fn on_postgresql(rounds: &Rounds) -> Result<(), String> {
    let Some(pgbench) = programs().map(|folder| folder.join("pgbench")) else {
        rounds.skipped("append, PostgreSQL", "PostgreSQL is not installed");
        return Ok(());
    };
    let quick = [
        (1, false, 0.8),
        (1, true, 0.6),
        (16, false, 1.0),
        (64, false, 1.7),
    ];
    let slow = [(16, false, 3.0), (64, false, 3.0)];
    on_server(rounds, &pgbench, &["fsync=on"], "", &quick).await?;
    on_server(
        rounds,
        &pgbench,
        &SLOW_DISK,
        ", a sync takes 2 ms more",
        &slow,
    )
    .await
}

/// Each case has a number of clients, whether there is a view, and the aim.
async fn on_server(
    rounds: &Rounds,
    pgbench: &Path,
    settings: &[&str],
    how: &str,
    cases: &[(usize, bool, f64)],
) -> Result<(), String> {
    let server = Postgres::start_with(settings).await;
    let folder = tempfile::tempdir().map_err(message)?;
    let script = folder.path().join("append.sql");
    std::fs::write(&script, SCRIPT.replace("TEXT", TEXT)).map_err(message)?;
    for (clients, view, aim) in cases.iter().copied() {
        let url = server.fresh_database().await;
        let database = Database::open(&url, "bench", &[]).await.map_err(message)?;
        let store = store(database, view).await?;
        raw_table(&url).await?;
        compare(
            rounds,
            &format!(
                "append, {}{}{how}",
                some(clients),
                if view { ", with a view" } else { "" }
            ),
            "pgbench, the same rows",
            Aim::AtLeast(aim),
            async || append_rate(&store, clients, rounds.seconds).await,
            async || pgbench_rate(pgbench, &script, &url, clients, rounds.seconds).await,
        )
        .await?;
    }
    Ok(())
}

/// A table like ours for `pgbench`.
async fn raw_table(url: &str) -> Result<(), String> {
    let mut connection = AnyConnection::connect(url).await.map_err(message)?;
    for statement in [
        "CREATE SCHEMA raw",
        "CREATE TABLE raw.events (LIKE portico_bench.events INCLUDING ALL)",
        "CREATE SEQUENCE raw.position",
    ] {
        connection.execute(statement).await.map_err(message)?;
    }
    Ok(())
}

/// One client and 64 on SQLite with `synchronous=FULL`.
pub(crate) async fn on_sqlite(rounds: &Rounds) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(message)?;
    let database = Database::sqlite(folder.path(), "bench", &[])
        .await
        .map_err(message)?;
    let raw = Database::sqlite(folder.path(), "raw", &[])
        .await
        .map_err(message)?;
    let store = store(database, false).await?;
    for (clients, aim) in [(1, 0.8), (64, 5.0)] {
        compare(
            rounds,
            &format!("append, {}", some(clients)),
            "the same rows, plain INSERT",
            Aim::AtLeast(aim),
            async || append_rate(&store, clients, rounds.seconds).await,
            async || insert_rate(&raw, rounds.seconds).await,
        )
        .await?;
    }
    Ok(())
}

/// Events per second that the clients append together, each event to a new stream.
async fn append_rate(store: &EventStore, clients: usize, seconds: u64) -> Result<f64, String> {
    let began = Instant::now();
    let end = began + Duration::from_secs(seconds);
    let clients = (0..clients).map(|_| async {
        let mut count = 0_u32;
        while Instant::now() < end {
            store.append(stream_of(1)?).await.map_err(message)?;
            count += 1;
        }
        Ok::<_, String>(count)
    });
    let counts = futures::future::try_join_all(clients).await?;
    Ok(f64::from(counts.iter().sum::<u32>()) / began.elapsed().as_secs_f64())
}

async fn pgbench_rate(
    pgbench: &Path,
    script: &Path,
    url: &str,
    clients: usize,
    seconds: u64,
) -> Result<f64, String> {
    let output = tokio::process::Command::new(pgbench)
        .args(["-n", "-M", "prepared", "-c", &clients.to_string()])
        .args(["-j", "2", "-T", &seconds.to_string(), "-f"])
        .arg(script)
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(message)?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
        .ok_or_else(|| format!("pgbench: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

async fn insert_rate(database: &Database, seconds: u64) -> Result<f64, String> {
    let mut connection = database.pool().acquire().await.map_err(message)?;
    let row = sqlx::query("SELECT COALESCE(MAX(position), 0) FROM events")
        .fetch_one(&mut *connection)
        .await
        .map_err(message)?;
    let mut position: i64 = sqlx::Row::try_get(&row, 0).map_err(message)?;
    let first = position;
    let began = Instant::now();
    let end = began + Duration::from_secs(seconds);
    while Instant::now() < end {
        position += 1;
        let id = Uuid::now_v7();
        sqlx::query(
            "INSERT INTO events (position, id, stream, version, type, schema_version, data, metadata, recorded_at) \
             VALUES ($1, $2, $3, 1, 'note.written', 1, $4, $5, $6)",
        )
        .bind(position)
        .bind(id.to_string())
        .bind(format!("note-{id}"))
        .bind(format!("{{\"text\":\"{TEXT}\",\"subject\":\"{id}\"}}"))
        .bind(format!("{{\"actor\":\"{id}\",\"correlation\":\"{id}\",\"causation\": null}}"))
        .bind(jiff::Timestamp::now().to_string())
        .execute(&mut *connection)
        .await
        .map_err(message)?;
    }
    // Below 2^52, so the conversion is exact.
    Ok((position - first) as f64 / began.elapsed().as_secs_f64())
}
