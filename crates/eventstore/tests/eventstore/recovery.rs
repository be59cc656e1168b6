//! PostgreSQL is killed under load: nothing acknowledged is lost, and all goes on by itself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use portico_eventstore::{
    EventStore, ExecuteError, PoolSettings, StoreError, Tx,
    sqlx::{self, AnyConnection, Connection as _},
    testing::context,
};
use portico_trials::{POSTGRESQL, Postgres, Trial, trials};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    counter::*,
    place::{Place, assert_gap_free, eventually, within},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials!(multi, [POSTGRESQL]; a_killed_postgresql_is_an_outage_and_no_loss, a_process_that_hangs_in_an_append_does_not_stop_the_others,
        readiness_tells_why_in_codes, connections_are_as_many_as_they_may_be)
}

/// Adds until told to stop; how many were acknowledged.
async fn write(store: EventStore, id: Uuid, stop: Arc<AtomicBool>, acknowledged: Arc<AtomicI64>) {
    while !stop.load(Ordering::SeqCst) {
        match store
            .execute::<Counter>(id, &Command::Add(1), &context(new_id()))
            .await
        {
            Ok(_) => drop(acknowledged.fetch_add(1, Ordering::SeqCst)),
            Err(ExecuteError::Store(StoreError::Unavailable(_))) => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("not an outage to the caller: {error:?}"),
        }
    }
}

async fn a_killed_postgresql_is_an_outage_and_no_loss() {
    let mut server = Postgres::start().await;
    let place = Place::Postgres(server.fresh_database().await);
    let store = place.open().await;
    let ids: Vec<Uuid> = (0..4).map(|_| new_id()).collect();
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let mut writers = JoinSet::new();
    for id in &ids {
        writers.spawn(write(
            store.clone(),
            *id,
            Arc::clone(&stop),
            Arc::clone(&acknowledged),
        ));
    }
    for _ in 0..3 {
        let before = acknowledged.load(Ordering::SeqCst);
        eventually("writers go on", async || {
            acknowledged.load(Ordering::SeqCst) > before + 20
        })
        .await;
        server.kill().unwrap();
        // What was in the middle of a query may end it.
        eventually("nobody answers", async || {
            store.database().ready().await.is_err()
        })
        .await;
        server.restart().await.unwrap();
    }
    let before = acknowledged.load(Ordering::SeqCst);
    eventually("writers go on", async || {
        acknowledged.load(Ordering::SeqCst) > before
    })
    .await;
    stop.store(true, Ordering::SeqCst);
    while let Some(done) = within(writers.join_next()).await {
        done.unwrap();
    }
    let written = assert_gap_free(&store).await;
    let acknowledged = acknowledged.load(Ordering::SeqCst);
    // A commit whose answer was lost with the connection is there and was not acknowledged.
    assert!(
        (acknowledged..=acknowledged + 3 * 4).contains(&written),
        "{acknowledged} acknowledged, {written} written"
    );
    let rows = totals(&store).await;
    assert_eq!(rows.iter().map(|row| row.1).sum::<i64>(), written);
}

async fn a_process_that_hangs_in_an_append_does_not_stop_the_others() {
    let place = Place::postgres().await;
    let store = place.open().await;
    // Takes the lock of the append as the writer does, and then nothing more.
    let mut hanging = store.database().pool().acquire().await.unwrap();
    let key: i64 = lock_key(&store).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '30s'; SELECT pg_advisory_xact_lock({key})"
    )))
    .execute(&mut *hanging)
    .await
    .unwrap();
    let asked = Instant::now();
    let refused = store.append(append(new_id(), 0, &[1])).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert!(asked.elapsed() < Duration::from_secs(25));
    // Nor does who waited for the lock in an open transaction leave a connection in one that has failed.
    assert!(Tx::begin(store.database()).await.is_err());
    let mut connections = Vec::new();
    // All but the one that hangs.
    for _ in 1..PoolSettings::default().max_connections {
        let mut connection = store.database().pool().acquire().await.unwrap();
        let asked = sqlx::query("SELECT 1 FROM events").fetch_all(&mut *connection);
        asked.await.unwrap();
        connections.push(connection);
    }
    drop(connections);
    within(async {
        while store.append(append(new_id(), 0, &[1])).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The key that an append of this store locks, as the server sees it.
async fn lock_key(store: &EventStore) -> i64 {
    use sqlx::Row as _;
    // Only an append in progress shows it, so one is made to wait for a row of the view.
    let id = new_id();
    store.append(append(id, 0, &[1])).await.unwrap();
    let mut holder = store.database().pool().acquire().await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE totals IN EXCLUSIVE MODE")
        .execute(&mut *holder)
        .await
        .unwrap();
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { store.append(append(id, 1, &[1])).await })
    };
    let mut key = None;
    eventually("the append holds its lock", async || {
        let row = sqlx::query(
            "SELECT (CAST(classid AS BIGINT) << 32) | CAST(objid AS BIGINT) FROM pg_locks \
             WHERE locktype = 'advisory' AND granted AND database = \
             (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .fetch_optional(store.database().pool())
        .await
        .unwrap();
        key = row.map(|row| row.get(0));
        key.is_some()
    })
    .await;
    sqlx::raw_sql("ROLLBACK")
        .execute(&mut *holder)
        .await
        .unwrap();
    within(waiting).await.unwrap().unwrap();
    key.unwrap()
}

/// Waits until that is why it is not ready: a busy server may first be slow to say why.
async fn until_not_ready(store: &EventStore, code: &'static str, mut before: impl AsyncFnMut()) {
    eventually(code, async || {
        before().await;
        let ready = store.database().ready().await;
        ready.is_err_and(|why| why.code == code)
    })
    .await;
}

async fn readiness_tells_why_in_codes() {
    let server =
        Postgres::start_with(&["max_connections=10", "superuser_reserved_connections=0"]).await;
    let place = Place::Postgres(server.fresh_database().await);
    let store = place.open().await;
    store.database().ready().await.unwrap();

    // What it keeps open is taken, and the server gives no more.
    let mut taken = Vec::new();
    let mut others = Vec::new();
    while let Ok(other) = AnyConnection::connect(&server.url()).await {
        others.push(other);
    }
    until_not_ready(&store, "database_connections_used_up", async || {
        taken.extend(store.database().pool().try_acquire());
    })
    .await;
    drop(taken);
    eventually("it is ready with what it has", async || {
        store.database().ready().await.is_ok()
    })
    .await;

    // Reads work, appends do not, and nobody is told that all is well.
    let mut operator = others.pop().unwrap();
    let writes = async |operator: &mut AnyConnection, allowed: &str| {
        for statement in [
            "SET default_transaction_read_only = off".to_owned(),
            format!("ALTER SYSTEM SET default_transaction_read_only = {allowed}"),
            "SELECT pg_reload_conf()".to_owned(),
        ] {
            let statement = sqlx::query(sqlx::AssertSqlSafe(statement));
            statement.execute(&mut *operator).await.unwrap();
        }
    };
    writes(&mut operator, "on").await;
    let refused = async || {
        let refused = store.append(append(new_id(), 0, &[1])).await;
        matches!(refused, Err(StoreError::Unavailable(_)))
    };
    eventually("appends fail", refused).await;
    until_not_ready(&store, "database_read_only", async || {
        refused().await;
    })
    .await;
    writes(&mut operator, "off").await;
    eventually("it is ready without an append", async || {
        store.database().ready().await.is_ok()
    })
    .await;
    store.append(append(new_id(), 0, &[1])).await.unwrap();
}

async fn connections_are_as_many_as_they_may_be() {
    let place = Place::postgres().await;
    let pool = PoolSettings {
        max_connections: 2,
        connection_wait: Duration::from_millis(200),
        ..PoolSettings::default()
    };
    let database = place.open_with(pool).await.unwrap();
    let mut first = database.pool().acquire().await.unwrap();
    let _second = database.pool().acquire().await.unwrap();
    let refused = database.pool().acquire().await;
    assert!(matches!(refused, Err(sqlx::Error::PoolTimedOut)));
    eventually("why it is not ready", async || {
        let ready = database.ready().await;
        ready.is_err_and(|why| why.code == "database_connections_busy")
    })
    .await;
    let name: String = sqlx::query_scalar("SELECT current_setting('application_name')")
        .fetch_one(&mut *first)
        .await
        .unwrap();
    assert_eq!(name, "portico-test");
}
