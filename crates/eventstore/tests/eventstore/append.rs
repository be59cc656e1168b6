//! What one append promises.

use portico_eventstore::{Appended, StoreError};
use portico_trials::Trial;

use crate::{
    counter::*,
    place::{Place, assert_gap_free, on_every_database},
};

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        an_old_version_conflicts,
        an_append_is_all_or_nothing,
        a_repetition_changes_nothing,
        an_id_is_used_once,
        events_come_back_as_they_were,
        an_append_without_events_leaves_no_trace,
    )
}

async fn an_old_version_conflicts(place: Place) {
    let store = place.open().await;
    let id = new_id();
    store.append(append(id, 0, &[1])).await.unwrap();
    for (expected, bys) in [(0, [1]), (2, [1]), (-1, [1])] {
        match store.append(append(id, expected, &bys)).await {
            Err(StoreError::Conflict {
                stream: which,
                expected: told,
                actual,
            }) => {
                assert_eq!((which, told, actual), (stream(id), expected, 1));
            }
            other => panic!("expected a conflict, got {other:?}"),
        }
    }
    store.append(append(id, 1, &[1])).await.unwrap();
    assert_eq!(assert_gap_free(&store).await, 2);
}

async fn an_append_is_all_or_nothing(place: Place) {
    let store = place.open().await;
    let id = new_id();
    store.append(append(id, 0, &[1, 2, 3])).await.unwrap();
    // The third event of the second append is what the view cannot take.
    let refused = store.append(append(id, 3, &[4, 5, REFUSED])).await;
    assert!(
        matches!(refused, Err(StoreError::Refused(RULE))),
        "{refused:?}"
    );
    assert_eq!(store.read_stream(&stream(id)).await.unwrap().len(), 3);
    assert_eq!(total(&store, id).await, Some(6));
    assert_eq!(assert_gap_free(&store).await, 3);
}

async fn a_repetition_changes_nothing(place: Place) {
    let store = place.open().await;
    let id = new_id();
    let first = append(id, 0, &[1, 2]);
    assert!(matches!(
        store.append(first.clone()).await.unwrap(),
        Appended::New(_)
    ));
    store.append(append(id, 2, &[3])).await.unwrap();
    // Also when the stream has moved on, and from another process.
    for store in [store.clone(), place.open().await] {
        assert!(matches!(
            store.append(first.clone()).await.unwrap(),
            Appended::Repeated
        ));
    }
    assert_eq!(total(&store, id).await, Some(6));
    assert_eq!(assert_gap_free(&store).await, 3);
}

async fn an_id_is_used_once(place: Place) {
    let store = place.open().await;
    let id = new_id();
    let first = append(id, 0, &[1]);
    let event_id = first.events[0].id;
    store.append(first).await.unwrap();
    let mut elsewhere = append(new_id(), 0, &[]);
    elsewhere.events = vec![added(event_id, 1)];
    let mut partly = append(id, 1, &[]);
    partly.events = vec![added(event_id, 1), added(new_id(), 1)];
    let mut twice = append(id, 1, &[]);
    let twin = new_id();
    twice.events = vec![added(twin, 1), added(twin, 1)];
    for reuse in [elsewhere, partly, twice] {
        let refused = store.append(reuse).await;
        assert!(
            matches!(refused, Err(StoreError::EventIdReused(_))),
            "{refused:?}"
        );
    }
    assert_eq!(assert_gap_free(&store).await, 1);
}

async fn events_come_back_as_they_were(place: Place) {
    let store = place.open().await;
    let id = new_id();
    let mut wanted = append(id, 0, &[7]);
    wanted.now = "2026-02-03T04:05:06.789123456Z".parse().unwrap();
    wanted.events[0].data = serde_json::json!({"by": 7, "note": "ä\"'\\ 🦀 \u{1}"}).into();
    wanted.events[0].metadata.actor = "somebody".into();
    wanted.events[0].metadata.correlation = Some(new_id());
    wanted.events[0].metadata.traceparent = Some("00-ab-cd-01".into());
    wanted.events[0].metadata.tracestate = Some("congo=t61rcWkgMzE".into());
    let Appended::New(new) = store.append(wanted.clone()).await.unwrap() else {
        panic!("not new")
    };
    let read = store.read(0, 10).await.unwrap();
    assert_eq!(read, new);
    assert_eq!(read, store.read_stream(&stream(id)).await.unwrap());
    let event = &read[0];
    assert_eq!((event.position, event.version), (1, 1));
    assert_eq!(event.event_type, "counter.added");
    assert_eq!(event.data, wanted.events[0].data);
    assert_eq!(event.metadata, wanted.events[0].metadata);
    assert_eq!(event.recorded_at, wanted.now);
    assert_eq!((event.stream_id(), event.category()), (id, "counter"));
}

async fn an_append_without_events_leaves_no_trace(place: Place) {
    let store = place.open().await;
    let id = new_id();
    store.append(append(id, 0, &[])).await.unwrap();
    assert_eq!(assert_gap_free(&store).await, 0);
    assert_eq!(store.load::<Counter>(id).await.unwrap().version, 0);
}
