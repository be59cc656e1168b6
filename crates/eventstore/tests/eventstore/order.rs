//! Positions are commit order without gaps: who reads by position misses nothing.

use std::collections::HashMap;

use portico_eventstore::{EventStore, RecordedEvent, testing::context};
use portico_trials::Trial;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    counter::*,
    place::{Place, assert_gap_free, on_every_database, within},
};

const WRITERS: usize = 16;
const EACH: usize = 20;

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        a_reader_misses_nothing_of_many_streams,
        a_reader_misses_nothing_of_one_stream,
        the_head_wakes_readers,
    )
}

/// Reads by position until it has seen so many events; each page as it comes.
async fn follow(store: EventStore, count: usize) -> Vec<RecordedEvent> {
    let mut seen: Vec<RecordedEvent> = Vec::new();
    while seen.len() < count {
        let cursor = seen.last().map_or(0, |e| e.position);
        let page = store.read(cursor, 7).await.unwrap();
        for event in page {
            // A gap that is filled later would be an event that this reader never sees.
            let before = seen.last().map_or(0, |e| e.position);
            assert_eq!(event.position, before + 1, "missed or out of order");
            seen.push(event);
        }
        tokio::task::yield_now().await;
    }
    seen
}

fn assert_streams_in_order(events: &[RecordedEvent]) {
    let mut versions: HashMap<&str, i64> = HashMap::new();
    for event in events {
        let version = versions.entry(&event.stream).or_default();
        assert_eq!(event.version, *version + 1, "{}", event.stream);
        *version += 1;
    }
}

/// Writers in two processes, a reader in a third.
async fn write_and_follow(place: &Place, ids: &[Uuid]) {
    let stores = [place.open().await, place.open().await];
    let reader = tokio::spawn(follow(place.open().await, WRITERS * EACH));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = stores[writer % 2].clone();
        let id = ids[writer % ids.len()];
        writers.spawn(async move {
            for _ in 0..EACH {
                let done = store
                    .execute::<Counter>(id, &Command::Add(1), &context(new_id()))
                    .await;
                assert_eq!(done.unwrap().events.len(), 1);
            }
        });
    }
    while let Some(done) = within(writers.join_next()).await {
        done.unwrap();
    }
    let seen = within(reader).await.unwrap();
    assert_streams_in_order(&seen);
    assert_eq!(
        assert_gap_free(&stores[0]).await,
        i64::try_from(WRITERS * EACH).unwrap()
    );
    let each = i64::try_from(WRITERS * EACH / ids.len()).unwrap();
    for id in ids {
        assert_eq!(total(&stores[0], *id).await, Some(each));
    }
}

async fn a_reader_misses_nothing_of_many_streams(place: Place) {
    let ids: Vec<Uuid> = (0..WRITERS).map(|_| new_id()).collect();
    write_and_follow(&place, &ids).await;
}

async fn a_reader_misses_nothing_of_one_stream(place: Place) {
    write_and_follow(&place, &[new_id()]).await;
}

async fn the_head_wakes_readers(place: Place) {
    let store = place.open().await;
    let mut head = store.head();
    assert_eq!(*head.borrow_and_update(), 0);
    store.append(append(new_id(), 0, &[1, 1])).await.unwrap();
    within(head.changed()).await.unwrap();
    assert_eq!(*head.borrow(), 2);
    // Who opens the log later begins where it is.
    assert_eq!(*place.open().await.head().borrow(), 2);
}
