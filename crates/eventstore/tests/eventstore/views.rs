//! Views follow the log in the transaction of the append.

use portico_eventstore::{StoreError, Table, Tx, cells, rows, sqlx, testing::context};
use portico_trials::Trial;
use tokio::task::JoinSet;

use crate::{
    counter::*,
    place::{Place, assert_gap_free, on_every_database, within},
};

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        a_caller_reads_its_own_write,
        one_failing_view_fails_its_own_append_only,
        a_rebuilt_view_equals_the_live_one,
        pages_of_any_size_give_the_same_rows,
        a_table_takes_many_rows,
        a_rebuild_that_fails_leaves_the_view,
    )
}

async fn a_caller_reads_its_own_write(place: Place) {
    let (store, other) = (place.open().await, place.open().await);
    let id = new_id();
    for n in 1..=10 {
        store
            .execute::<Counter>(id, &Command::Add(1), &context(new_id()))
            .await
            .unwrap();
        assert_eq!(total(&store, id).await, Some(n));
        assert_eq!(total(&other, id).await, Some(n));
    }
}

async fn one_failing_view_fails_its_own_append_only(place: Place) {
    let store = place.open().await;
    for bad in [REFUSED, BROKEN, PANICS] {
        let before = assert_gap_free(&store).await;
        let mut appends = JoinSet::new();
        for n in 0..64 {
            let (store, id) = (store.clone(), new_id());
            let by = if n == 31 { bad } else { 1 };
            appends.spawn(async move { (by, id, store.append(append(id, 0, &[1, by])).await) });
        }
        while let Some(done) = within(appends.join_next()).await {
            let (by, id, result) = done.unwrap();
            if by == bad {
                match (bad, result) {
                    (REFUSED, Err(StoreError::Refused(RULE)))
                    | (BROKEN, Err(StoreError::Database(_)))
                    | (PANICS, Err(StoreError::Projection(_))) => {}
                    other => panic!("{other:?}"),
                }
                assert_eq!(total(&store, id).await, None);
            } else {
                result.unwrap();
                assert_eq!(total(&store, id).await, Some(2));
            }
        }
        assert_eq!(assert_gap_free(&store).await, before + 63 * 2);
    }
}

async fn a_rebuilt_view_equals_the_live_one(place: Place) {
    let store = place.open().await;
    for _ in 0..6 {
        let bys: Vec<i64> = (1..=250).collect();
        store.append(append(new_id(), 0, &bys)).await.unwrap();
    }
    let id = new_id();
    store
        .execute::<Counter>(id, &Command::Close, &context(new_id()))
        .await
        .unwrap();
    let live = totals(&store).await;
    assert_eq!(live.len(), 7);
    sqlx::query("UPDATE totals SET total = total + 1")
        .execute(store.database().pool())
        .await
        .unwrap();
    assert_ne!(totals(&store).await, live);

    // Appends meanwhile are in the log and in the view.
    let writer = {
        let store = place.open().await;
        tokio::spawn(async move {
            for version in 0..20 {
                let appended = append(new_id(), 0, &[version]);
                // The rebuild may take longer than an append waits.
                while let Err(error) = store.append(appended.clone()).await {
                    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
                }
            }
        })
    };
    let mut pages = Vec::new();
    let progress = |position| pages.push(position);
    let end = store.replay_by(1000, progress).await.unwrap();
    within(writer).await.unwrap();
    assert!(pages.len() >= 2, "{pages:?}");
    assert_eq!(pages.last(), Some(&end));
    let rebuilt = totals(&store).await;
    assert_eq!(rebuilt.len(), 27);
    assert!(live.iter().all(|row| rebuilt.contains(row)));
}

async fn pages_of_any_size_give_the_same_rows(place: Place) {
    let store = place.open().await;
    let ids: Vec<_> = (0..5).map(|_| new_id()).collect();
    for round in 0..7 {
        for (n, id) in (1..).zip(&ids) {
            let bys = [n; 3];
            store.append(append(*id, round * 3, &bys)).await.unwrap();
        }
    }
    let live = (totals(&store).await, folded(&store).await);
    assert_eq!((live.0.len(), live.1.len()), (5, 5));
    let length = assert_gap_free(&store).await;
    for size in [1, 2, 7, 64, length, length + 1] {
        let mut pages = Vec::new();
        let progress = |position| pages.push(position);
        assert_eq!(store.replay_by(size, progress).await.unwrap(), length);
        assert_eq!(pages.len() as i64, (length + size - 1) / size);
        assert_eq!((totals(&store).await, folded(&store).await), live, "{size}");
    }
}

async fn a_table_takes_many_rows(place: Place) {
    let store = place.open().await;
    let mut tx = Tx::begin(store.database()).await.unwrap();
    // More than one statement takes.
    let ids: Vec<_> = (0..9_000).map(|_| new_id()).collect();
    let rows = |total: i64, closed: i64| {
        let row = move |id: &uuid::Uuid| cells![*id, total, closed];
        ids.iter().map(row).collect::<Vec<_>>()
    };
    assert!(TOTALS.insert(&mut tx, &rows(1, 0)).await.unwrap());
    assert!(!TOTALS.insert(&mut tx, &rows(1, 0)).await.unwrap());
    // A total is brought to its value, `closed` stays as it was inserted.
    TOTALS.write(&mut tx, rows(2, 1)).await.unwrap();
    let none = Table {
        once: "total closed",
        ..TOTALS
    };
    none.write(&mut tx, rows(3, 3)).await.unwrap();
    let kept = ids.iter().copied().skip(4);
    TOTALS.delete(&mut tx, kept).await.unwrap();
    let known = ids.iter().copied();
    let left = TOTALS.read(&mut tx, "id", known).await.unwrap();
    assert_eq!(rows::ids(&left).unwrap().len(), 4);
    tx.commit().await.unwrap();
    let expected: Vec<_> = ids[..4].iter().map(|id| (*id, 2, 0)).collect();
    assert_eq!(totals(&store).await, expected);
}

async fn a_rebuild_that_fails_leaves_the_view(place: Place) {
    let store = place.open().await;
    let id = new_id();
    store.append(append(id, 0, &[1])).await.unwrap();
    // As if the view had learned to refuse what is in the log.
    sqlx::query("UPDATE events SET data = '{\"by\":-2}'")
        .execute(store.database().pool())
        .await
        .unwrap();
    assert!(store.replay(|_| {}).await.is_err());
    assert_eq!(total(&store, id).await, Some(1));
}
