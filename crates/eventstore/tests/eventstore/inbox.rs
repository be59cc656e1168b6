//! One message has one effect.

use portico_eventstore::{ExecuteError, InboxEntry, sqlx, testing::context};
use portico_trials::Trial;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    counter::*,
    place::{Place, assert_gap_free, on_every_database, within},
};

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        sixteen_deliveries_have_one_effect,
        a_message_that_causes_nothing_is_marked,
        a_late_delivery_is_not_refused,
        a_late_delivery_that_would_say_more_says_nothing,
        consumers_and_steps_are_kept_apart,
        a_refused_message_is_not_marked,
    )
}

fn entry(consumer: &str, message_id: Uuid) -> InboxEntry {
    InboxEntry {
        consumer: consumer.to_owned(),
        message_id,
    }
}

async fn sixteen_deliveries_have_one_effect(place: Place) {
    let stores = [place.open().await, place.open().await];
    // With the message's ids, as consumers do, and with fresh ones, where only the inbox can tell.
    for fresh in [false, true] {
        let (id, message) = (new_id(), new_id());
        let mut deliveries = JoinSet::new();
        for n in 0..16 {
            let store = stores[n % 2].clone();
            let command_id = if fresh { new_id() } else { message };
            deliveries.spawn(async move {
                store
                    .execute_once::<Counter>(
                        id,
                        &Command::Add(1),
                        &context(command_id),
                        entry("consumer", message),
                    )
                    .await
            });
        }
        let mut effects = 0;
        while let Some(done) = within(deliveries.join_next()).await {
            let outcome = done.unwrap().unwrap();
            assert_eq!((outcome.state.total, outcome.version), (1, 1));
            effects += outcome.events.len();
        }
        assert_eq!(effects, 1);
        assert_eq!(total(&stores[0], id).await, Some(1));
    }
    assert_eq!(assert_gap_free(&stores[0]).await, 2);
}

async fn marks(place: &Place) -> usize {
    let store = place.open().await;
    sqlx::query("SELECT consumer FROM inbox")
        .fetch_all(store.database().pool())
        .await
        .unwrap()
        .len()
}

async fn a_message_that_causes_nothing_is_marked(place: Place) {
    let store = place.open().await;
    let (id, message) = (new_id(), new_id());
    let quiet = store
        .execute_once::<Counter>(
            id,
            &Command::Add(0),
            &context(message),
            entry("consumer", message),
        )
        .await
        .unwrap();
    assert_eq!(quiet.version, 0);
    assert_eq!(marks(&place).await, 1);
    // It was handled; another command in its name changes nothing.
    store
        .execute_once::<Counter>(
            id,
            &Command::Add(5),
            &context(new_id()),
            entry("consumer", message),
        )
        .await
        .unwrap();
    assert_eq!(assert_gap_free(&store).await, 0);
}

async fn a_late_delivery_is_not_refused(place: Place) {
    let store = place.open().await;
    let (id, message) = (new_id(), new_id());
    let deliver = async || {
        store
            .execute_once::<Counter>(
                id,
                &Command::Add(0),
                &context(message),
                entry("consumer", message),
            )
            .await
    };
    deliver().await.unwrap();
    store
        .execute::<Counter>(id, &Command::Close, &context(new_id()))
        .await
        .unwrap();
    // The counter would refuse it now, but it was handled when it could be.
    let late = deliver().await.unwrap();
    assert!(late.events.is_empty());
}

/// A decider may find more to say when the state has moved on: the message had its effect all the same, and whoever
/// appends in the same transaction is not held up by it.
async fn a_late_delivery_that_would_say_more_says_nothing(place: Place) {
    let store = place.open().await;
    let (id, message) = (new_id(), new_id());
    let deliver = async |bys: &[i64]| {
        store
            .execute_once::<Counter>(
                id,
                &Command::AddEach(bys.to_vec()),
                &context(message),
                entry("consumer", message),
            )
            .await
    };
    deliver(&[1]).await.unwrap();
    let (late, other) = tokio::join!(deliver(&[1, 2]), store.append(append(new_id(), 0, &[3])),);
    let late = late.unwrap();
    assert_eq!((late.state.total, late.events.len()), (1, 0));
    other.unwrap();
    assert_eq!(assert_gap_free(&store).await, 2);
}

async fn consumers_and_steps_are_kept_apart(place: Place) {
    let store = place.open().await;
    let (id, message) = (new_id(), new_id());
    for entry in [
        entry("one", message),
        entry("two", message),
        entry("two", message).step("again"),
    ] {
        store
            .execute_once::<Counter>(id, &Command::Add(1), &context(new_id()), entry)
            .await
            .unwrap();
    }
    assert_eq!(total(&store, id).await, Some(3));
}

async fn a_refused_message_is_not_marked(place: Place) {
    let store = place.open().await;
    let (id, message) = (new_id(), new_id());
    store
        .execute::<Counter>(id, &Command::Close, &context(new_id()))
        .await
        .unwrap();
    for _ in 0..2 {
        let refused = store
            .execute_once::<Counter>(
                id,
                &Command::Add(1),
                &context(message),
                entry("consumer", message),
            )
            .await;
        assert!(matches!(refused, Err(ExecuteError::Rejected(Closed))));
    }
    assert_eq!(marks(&place).await, 0);
}
