//! What an installation costs that has nothing to do: two replicas of each service.

use std::{collections::BTreeMap, time::Duration};

use portico_tests::cluster::Part;
use portico_trials::{NATS, POSTGRESQL};
use sqlx::{AnyConnection, Connection as _, Row as _};

use crate::{
    apart::Apart,
    log::message,
    proc::{children, cpu, resident, wakeups},
    rounds::Rounds,
    stage::Outside,
};

const REPLICAS: usize = 2;
/// After the start, until everything has found its place.
const SETTLE: Duration = Duration::from_secs(20);
/// After the edges are gone.
const QUIET: Duration = Duration::from_secs(5);
const WATCHED: Duration = Duration::from_secs(30);

/// Statements, wakeups and CPU over half a minute, memory and connections at its end.
pub(crate) async fn measure(rounds: &Rounds) -> Result<(), String> {
    if let Some(missing) = (POSTGRESQL.missing)().or_else(NATS.missing) {
        rounds.skipped("idle", missing);
        return Ok(());
    }
    rounds.progress("starts 14 processes, and watches them for half a minute");
    let outside = Outside::start().await?;
    let mut apart = Apart::start(outside.environment(), REPLICAS).await?;
    let mut database = AnyConnection::connect(&apart.postgres.url())
        .await
        .map_err(message)?;
    let extension = sqlx::query("CREATE EXTENSION pg_stat_statements").execute(&mut database);
    extension.await.map_err(message)?;
    tokio::time::sleep(SETTLE).await;
    // The balancer of the cluster asks the edges twenty times a second whether they are ready, and they ask the services.
    let parts = children()?;
    let (edges, processes): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|(part, _)| part == "edge");
    let edge: Result<Vec<f64>, String> = edges.iter().map(|(_, id)| resident(*id)).collect();
    for replica in apart.cluster.replicas() {
        if apart.cluster.part(replica) == Part::Edge {
            apart.cluster.kill(replica);
        }
    }
    tokio::time::sleep(QUIET).await;
    let reset = sqlx::query("SELECT pg_stat_statements_reset()").execute(&mut database);
    reset.await.map_err(message)?;
    let before = used(&processes)?;
    tokio::time::sleep(WATCHED).await;
    let (queries, after) = (statements(&mut database).await?, used(&processes)?);
    let (seconds, count) = (WATCHED.as_secs_f64(), processes.len() as f64);
    let each = vec![queries as f64 / seconds / count];
    rounds.bound("queries a second for each process", "queries", each, 2.0);
    frequent(rounds, &mut database).await?;
    let (mut woken, mut busy) = (Vec::new(), Vec::new());
    for (before, after) in before.iter().zip(&after) {
        woken.push((after.0 - before.0) / seconds);
        busy.push((after.1 - before.1) / seconds * 100.0);
    }
    rounds.figure("wakeups a second for each process", "wakeups", woken);
    rounds.figure("CPU of each process", "% of a core", busy);
    let count_sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
    let connections = number(&mut database, count_sql).await? - 1;
    rounds.figure(
        "connections to PostgreSQL for each process",
        "connections",
        vec![connections as f64 / count],
    );
    let mut memory = BTreeMap::from([("edge", edge?)]);
    for (part, process) in &processes {
        memory.entry(part).or_default().push(resident(*process)?);
    }
    for (part, resident) in memory {
        rounds.figure(&format!("resident, {part}"), "MiB", resident);
    }
    Ok(())
}

/// Statements of the services, without those that only begin and end transactions.
async fn statements(database: &mut AnyConnection) -> Result<i64, String> {
    let sql = "SELECT SUM(calls)::BIGINT FROM pg_stat_statements \
               WHERE query !~* '^(BEGIN|COMMIT|ROLLBACK|SET|RESET)'";
    number(database, sql).await
}

/// Tells which statements those are, so that their number can be explained.
async fn frequent(rounds: &Rounds, database: &mut AnyConnection) -> Result<(), String> {
    let sql = "SELECT calls, LEFT(REGEXP_REPLACE(query, '\\s+', ' ', 'g'), 100) FROM pg_stat_statements \
               ORDER BY calls DESC LIMIT 10";
    let rows = sqlx::query(sql)
        .fetch_all(database)
        .await
        .map_err(message)?;
    for row in rows {
        let calls: i64 = row.try_get(0).map_err(message)?;
        let query: String = row.try_get(1).map_err(message)?;
        rounds.progress(&format!("{calls:>6} times: {query}"));
    }
    Ok(())
}

async fn number(database: &mut AnyConnection, sql: &'static str) -> Result<i64, String> {
    let row = sqlx::query(sql)
        .fetch_one(database)
        .await
        .map_err(message)?;
    row.try_get(0).map_err(message)
}

/// Wakeups and seconds of CPU of each process so far.
fn used(processes: &[(String, u32)]) -> Result<Vec<(f64, f64)>, String> {
    processes
        .iter()
        .map(|(_, id)| Ok((wakeups(*id)?, cpu(*id)?)))
        .collect()
}
