//! One holder at a time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portico_eventstore::{EventStore, Lease, clock::Clock, sqlx};
use portico_trials::Trial;
use tokio::{sync::oneshot, task::JoinSet};

use crate::{
    counter::new_id,
    place::{Place, eventually, on_every_database, within},
};

const TTL: Duration = Duration::from_secs(10);

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        one_of_many_holds_it,
        it_expires_and_is_given_up,
        work_keeps_it_until_it_ends,
        work_is_dropped_when_it_is_lost,
    )
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

/// As if time passed for PostgreSQL, whose own clock counts: leases end earlier by as much. In SQLite there is no row.
async fn pass(store: &EventStore, seconds: i64) {
    sqlx::query("UPDATE leases SET expires_at_ms = expires_at_ms - $1")
        .bind(seconds * 1000)
        .execute(store.database().pool())
        .await
        .unwrap();
}

async fn one_of_many_holds_it(place: Place) {
    let stores = [place.open().await, place.open().await];
    let leases: Vec<Lease> = (0..16)
        .map(|n| Lease::new(stores[n % 2].database().clone(), "work", new_id(), TTL))
        .collect();
    let mut holder = None;
    for round in 0..10 {
        let mut takers = JoinSet::new();
        for (n, lease) in leases.iter().cloned().enumerate() {
            takers.spawn(async move { lease.take(at(round)).await.unwrap().then_some(n) });
        }
        let mut holders = Vec::new();
        while let Some(taken) = within(takers.join_next()).await {
            holders.extend(taken.unwrap());
        }
        assert_eq!(holders.len(), 1, "{holders:?}");
        // Who has it keeps it.
        assert_eq!(*holder.get_or_insert(holders[0]), holders[0]);
    }
}

async fn it_expires_and_is_given_up(place: Place) {
    let store = place.open().await;
    let lease = |name: &str| Lease::new(store.database().clone(), name, new_id(), TTL);
    let (one, two) = (lease("work"), lease("work"));
    assert!(one.take(at(0)).await.unwrap());
    assert!(lease("other").take(at(0)).await.unwrap());
    pass(&store, 9).await;
    assert!(!two.take(at(9)).await.unwrap());
    pass(&store, 2).await;
    assert!(two.take(at(11)).await.unwrap());
    assert!(!one.take(at(12)).await.unwrap());
    // Only the holder can give it up.
    one.release().await.unwrap();
    assert!(!one.take(at(12)).await.unwrap());
    two.release().await.unwrap();
    assert!(one.take(at(12)).await.unwrap());
    // Taken under a clock that is an hour ahead, it does not bind for an hour.
    let hour = SignedDuration::from_hours(1);
    assert!(one.take(at(13) + hour).await.unwrap());
    pass(&store, -hour.as_secs()).await;
    assert!(two.take(at(13)).await.unwrap());
}

async fn work_keeps_it_until_it_ends(place: Place) {
    let store = place.open().await;
    let lease = || Lease::new(store.database().clone(), "work", new_id(), TTL);
    let (clock, time) = Clock::manual(at(0));
    let held = lease().acquire(&clock).await.unwrap().unwrap();
    let (end, ended) = oneshot::channel::<()>();
    let working = tokio::spawn(held.run(async move { ended.await.unwrap() }));
    // Much longer than the time to live, in steps shorter than it.
    for _ in 0..10 {
        time.advance(TTL / 2);
        pass(&store, 5).await;
        let until = clock.now() + TTL / 2 + Duration::from_secs(1);
        eventually("it is renewed", async || {
            // The next pause may have begun only after the step above.
            time.advance(Duration::from_millis(10));
            lease().is_held(until).await.unwrap()
        })
        .await;
        assert!(lease().acquire(&clock).await.unwrap().is_none());
    }
    end.send(()).unwrap();
    within(working).await.unwrap().unwrap();
    // It was given up, so nobody waits for it to expire.
    let other = lease();
    let held = within(other.acquire_within(&clock, TTL)).await.unwrap();
    assert!(held.is_some());
}

async fn work_is_dropped_when_it_is_lost(place: Place) {
    let store = place.open().await;
    let lease = || Lease::new(store.database().clone(), "work", new_id(), TTL);
    let (clock, time) = Clock::manual(at(0));
    let held = lease().acquire(&clock).await.unwrap().unwrap();
    let (inside, outside) = oneshot::channel::<()>();
    let working = tokio::spawn(held.run(async move {
        let _inside = inside;
        std::future::pending::<()>().await;
    }));
    // As when this process stood still for longer than the time to live.
    let other = lease();
    pass(&store, 11).await;
    assert!(other.take(at(11)).await.unwrap());
    time.advance(TTL);
    let lost = within(working).await.unwrap().unwrap_err();
    assert!(lost.to_string().contains("work"), "{lost}");
    assert!(within(outside).await.is_err(), "what it held was dropped");
    // The new owner keeps it.
    assert!(other.is_held(at(12)).await.unwrap());
    assert!(lease().acquire(&clock).await.unwrap().is_none());
}
