//! The database: killed, its connections cut, held up by somebody else's transaction, without room.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use portico_eventstore::sqlx::{AssertSqlSafe, Executor as _};

use crate::{
    client::until,
    invariants,
    ledger::Expected,
    round::Round,
    settle::settle,
    workload::{APPLICATIONS, Workload},
    world::{Portal, Setup, World},
};

/// PostgreSQL is killed under load, then only its connections are cut, as at a restart.
pub async fn postgres_killed(round: Arc<Round>) {
    killed(&round, false).await;
}

/// As [`postgres_killed`], with two replicas of every service.
pub async fn postgres_killed_apart(round: Arc<Round>) {
    killed(&round, true).await;
}

async fn killed(round: &Round, apart: bool) {
    let setup = Setup {
        servers: true,
        own_postgres: true,
        apart,
        ..Setup::default()
    };
    let mut world = World::start(&round.folder, setup).await;
    let portal = world.configure().await;
    let workload = Workload::begin(&portal, round.seed, 3, APPLICATIONS);
    for _ in 0..2 {
        portal.wait_for_requests(2).await;
        world.backends.postgres.as_mut().unwrap().kill().unwrap();
        round.killed();
        refused(&portal).await;
        world
            .backends
            .postgres
            .as_mut()
            .unwrap()
            .restart()
            .await
            .unwrap();
        world.ready().await;
    }
    for _ in 0..3 {
        portal.wait_for_requests(1).await;
        let sql = "SELECT CAST(pg_terminate_backend(pid) AS TEXT) FROM pg_stat_activity \
                   WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        world.stores.rows("catalog", sql).await;
    }
    workload.finish().await;
    invariants::check(&mut world, &portal).await;
}

/// Until somebody was told to come back later.
async fn refused(portal: &Portal) {
    let count = || {
        [&portal.admin, &portal.developer]
            .map(|who| who.refused.load(Ordering::Relaxed))
            .iter()
            .sum::<u64>()
    };
    let before = count();
    until("503", || async {
        let _ = portal
            .admin
            .once(&http::Method::GET, "/api/v1/access-requests", None, 0)
            .await
            .ok()
            .filter(|answer| {
                if answer.status == 503 {
                    portal.admin.refused.fetch_add(1, Ordering::Relaxed);
                }
                false
            });
        (count() > before).then_some(())
    })
    .await;
}

/// A reader that never ends its transaction hinders nobody; one that holds the table makes appends wait, and be
/// refused with Retry-After, until it is gone.
pub async fn idle_transaction(round: Arc<Round>) {
    let setup = Setup {
        servers: true,
        ..Setup::default()
    };
    let mut world = World::start(&round.folder, setup).await;
    let portal = world.configure().await;
    let mut reader = world.stores.connect("access-request").await.unwrap();
    reader.execute("BEGIN").await.unwrap();
    reader.execute("SELECT COUNT(*) FROM events").await.unwrap();
    Workload::begin(&portal, round.seed, 2, 3).complete().await;
    settle(&world, &portal).await;

    let mut holder = world.stores.connect("access-request").await.unwrap();
    holder.execute("BEGIN").await.unwrap();
    holder
        .execute(AssertSqlSafe(
            "LOCK TABLE events IN EXCLUSIVE MODE".to_owned(),
        ))
        .await
        .unwrap();
    let workload = Workload::begin(&portal, round.seed + 1, 2, 2);
    until("503 with Retry-After", || async {
        let refused = portal.developer.refused.load(Ordering::Relaxed);
        (refused > 0).then_some(())
    })
    .await;
    holder.execute("ROLLBACK").await.unwrap();
    workload.finish().await;
    invariants::check(&mut world, &portal).await;
}

/// No file can grow any more: commands are refused as unavailable, nothing is torn, and all goes on with room.
pub async fn disk_full(round: Arc<Round>) {
    let mut world = World::start(&round.folder, Setup::default()).await;
    let portal = world.configure().await;
    Workload::begin(&portal, round.seed, 2, 2).complete().await;
    world.stop().await;
    let largest = std::fs::read_dir(world.portico.data_dir())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .max()
        .unwrap();
    // Enough for the start and some appends.
    world.portico.file_limit = Some(largest / 512 + 64 + round.seed * 16);
    world.portico.spawn(None);
    let workload = Workload::begin(&portal, round.seed + 1, 3, 30);
    until("503 with Retry-After", || async {
        let refused = portal.developer.refused.load(Ordering::Relaxed)
            + portal.admin.refused.load(Ordering::Relaxed);
        (refused > 3).then_some(())
    })
    .await;
    // Alive, and still refusing.
    assert!(
        !world.portico.dies_within(Duration::from_millis(300)).await,
        "it died of a full disk"
    );
    world.stop().await;
    round.killed();
    world.portico.file_limit = None;
    world.portico.start().await;
    workload.finish().await;
    for service in crate::stores::SERVICES {
        let rows = world
            .stores
            .rows(
                service,
                "SELECT integrity_check FROM pragma_integrity_check",
            )
            .await;
        assert_eq!(rows[0][0], "ok", "{service}: {rows:?}");
    }
    invariants::check(&mut world, &portal).await;
}

/// The clock goes an hour ahead and, at the next start, back; one of two replicas is an hour ahead.
pub async fn clock_off(round: Arc<Round>) {
    let replicas = round.seed % 2 == 1;
    let mut world = World::start(
        &round.folder,
        Setup {
            servers: replicas,
            replicas,
            ..Setup::default()
        },
    )
    .await;
    let portal = world.configure().await;
    Workload::begin(&portal, round.seed, 2, 2).complete().await;
    world.portico.kill().await;
    world.portico.set("FAULT_CLOCK_OFFSET_SECONDS", "3600");
    if replicas {
        // Beside the database's clock it is wrong, and says so.
        world.portico.spawn(None);
        world.portico.not_ready("clock_off").await;
    } else {
        world.portico.start().await;
    }
    let workload = Workload::begin(&portal, round.seed + 1, 2, APPLICATIONS);
    portal.wait_for_requests(1).await;
    if !replicas {
        // What waits for its next try by the wrong clock must not wait an hour by the right one.
        let refuse = portico_sandbox::identity_provider::Answer::status(503);
        world.sandbox().fail_next(
            portico_sandbox::identity_provider::Operation::Register,
            3,
            portico_sandbox::identity_provider::Fault::Refuse(refuse),
        );
        portal.granted(Expected::Active).await;
        portal.wait_for_requests(1).await;
        world.portico.kill().await;
        round.killed();
        world.portico.set("FAULT_CLOCK_OFFSET_SECONDS", "");
        world.portico.start().await;
        world.sandbox().clear_faults();
    }
    workload.finish().await;
    invariants::check(&mut world, &portal).await;
}
