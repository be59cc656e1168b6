//! Copies of databases in use.

use portico_eventstore::{
    EventStore,
    backup::{Copy, copy_at_once, damage},
};
use portico_trials::{Trial, trials};

use crate::{
    counter::*,
    place::{Place, assert_gap_free},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials!(multi, []; copies_are_of_one_instant, a_damaged_file_is_recognised)
}

async fn amount(store: &EventStore) -> i64 {
    assert_gap_free(store).await
}

/// Two services: what is in the second was in the first before. In no copy is it otherwise, and none is torn.
async fn copies_are_of_one_instant() {
    let (place, copied) = (Place::sqlite(), Place::sqlite());
    let (Place::Sqlite(from), Place::Sqlite(to)) = (&place, &copied) else {
        panic!("SQLite")
    };
    let (first, second) = (place.open_as("first").await, place.open_as("second").await);
    let (cause, effect) = (first.clone(), second.clone());
    let writing = tokio::spawn(async move {
        for _ in 0..400 {
            cause.append(append(new_id(), 0, &[1, 2])).await.unwrap();
            effect.append(append(new_id(), 0, &[1, 2])).await.unwrap();
        }
    });
    let mut copies = 0;
    while !writing.is_finished() {
        let copy = |name: &str| Copy {
            from: from.path().join(format!("{name}.db")),
            to: to.path().join(format!("{name}{copies}.db")),
        };
        copy_at_once(&[copy("second"), copy("first")])
            .await
            .unwrap();
        copies += 1;
    }
    writing.await.unwrap();
    assert!(copies > 1, "copies were made meanwhile");
    for number in 0..copies {
        let first = copied.open_as(&format!("first{number}")).await;
        let second = copied.open_as(&format!("second{number}")).await;
        let (causes, effects) = (amount(&first).await, amount(&second).await);
        assert!(
            causes == effects || causes == effects + 2,
            "{causes} causes, {effects} effects"
        );
        let rows = totals(&first).await;
        assert_eq!(
            rows.len() as i64 * 2,
            causes,
            "views are of the same instant"
        );
        // The copy is a store like any other.
        first.append(append(new_id(), 0, &[5])).await.unwrap();
        let file = to.path().join(format!("first{number}.db"));
        assert_eq!(damage(&file).await.unwrap(), None);
    }
    assert_eq!(amount(&first).await, 800);
}

async fn a_damaged_file_is_recognised() {
    let place = Place::sqlite();
    let Place::Sqlite(folder) = &place else {
        panic!("SQLite")
    };
    let store = place.open().await;
    for _ in 0..50 {
        let bys: Vec<i64> = (1..=50).collect();
        store.append(append(new_id(), 0, &bys)).await.unwrap();
    }
    let copy = folder.path().join("copy.db");
    let from = folder.path().join("test.db");
    let to = copy.clone();
    copy_at_once(&[Copy { from, to }]).await.unwrap();
    let mut bytes = std::fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xff);
    std::fs::write(&copy, bytes).unwrap();
    // Its words, or that it cannot be read.
    assert!(damage(&copy).await.map_or(true, |found| found.is_some()));
}
