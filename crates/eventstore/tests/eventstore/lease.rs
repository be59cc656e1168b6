//! One holder at a time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portico_eventstore::Lease;
use portico_trials::Trial;
use tokio::task::JoinSet;

use crate::{
    counter::new_id,
    place::{Place, on_every_database, within},
};

const TTL: Duration = Duration::from_secs(10);

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        one_of_many_holds_it,
        it_expires_and_is_given_up,
        all_are_freed
    )
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
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
    assert!(!two.take(at(10)).await.unwrap());
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
    assert!(two.take(at(13)).await.unwrap());
}

/// Where nobody else can have the database, whoever held a lease is dead.
async fn all_are_freed(place: Place) {
    let store = place.open().await;
    let lease = |name: &str| Lease::new(store.database().clone(), name, new_id(), TTL);
    assert!(lease("one").take(at(0)).await.unwrap());
    assert!(lease("two").take(at(0)).await.unwrap());
    assert!(!lease("one").take(at(1)).await.unwrap());
    Lease::free_all(store.database()).await.unwrap();
    assert!(lease("one").take(at(1)).await.unwrap());
    assert!(lease("two").take(at(1)).await.unwrap());
}
