//! What an installation costs that has nothing to do: two replicas of each service.

use std::{collections::BTreeMap, time::Duration};

use portico_tests::cluster::{Cluster, Part};
use portico_trials::{NATS, POSTGRESQL};
use sqlx::{AnyConnection, Connection as _, Row as _};

use crate::{
    apart::Apart,
    log::message,
    proc::{Process, children, cpu, wakeups},
    rounds::Rounds,
    stage::Outside,
};

const REPLICAS: usize = 2;
/// After the start, until everything has found its place.
const SETTLE: Duration = Duration::from_secs(20);
const EDGE: &str = "edge";
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
    let parts = children()?;
    without_edges(&mut apart.cluster).await;
    let reset = sqlx::query("SELECT pg_stat_statements_reset()").execute(&mut database);
    reset.await.map_err(message)?;
    let services: Vec<_> = parts.iter().filter(|part| part.0 != EDGE).collect();
    let before = used(&services)?;
    tokio::time::sleep(WATCHED).await;
    let (queries, after) = (statements(&mut database).await?, used(&services)?);
    let (seconds, count) = (WATCHED.as_secs_f64(), services.len() as f64);
    let each = vec![queries as f64 / seconds / count];
    rounds.bound("queries a second for each process", "queries", each, 2.0);
    frequent(rounds, &mut database).await?;
    let used = before.iter().zip(&after);
    let used =
        used.map(|(before, after)| [0, 1].map(|index| (after[index] - before[index]) / seconds));
    let (woken, busy) = used.map(|[woken, busy]| (woken, busy * 100.0)).unzip();
    rounds.figure("wakeups a second for each process", "wakeups", woken);
    rounds.figure("CPU of each process", "% of a core", busy);
    let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
    let connections = vec![(number(&mut database, sql).await? - 1) as f64 / count];
    rounds.figure(
        "connections to PostgreSQL for each process",
        "connections",
        connections,
    );
    let mut memory = BTreeMap::<&str, Vec<f64>>::new();
    for (part, _, resident) in &parts {
        memory.entry(part).or_default().push(*resident);
    }
    for (part, resident) in memory {
        rounds.figure(&format!("resident, {part}"), "MiB", resident);
    }
    Ok(())
}

/// The balancer of the cluster asks the edges twenty times a second whether they are ready, and they ask the services.
async fn without_edges(cluster: &mut Cluster) {
    for replica in cluster.replicas() {
        if cluster.part(replica) == Part::Edge {
            cluster.kill(replica);
        }
    }
    tokio::time::sleep(QUIET).await;
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
fn used(processes: &[&Process]) -> Result<Vec<[f64; 2]>, String> {
    let used = processes
        .iter()
        .map(|(_, id, _)| Ok([wakeups(*id)?, cpu(*id)?]));
    used.collect()
}
