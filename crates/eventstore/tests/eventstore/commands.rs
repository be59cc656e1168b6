//! Commands: decided anew on a conflict, once for each command id.

use futures::FutureExt as _;
use portico_eventstore::{Beside, Context, EventStore, ExecuteError, sqlx, testing::context};
use portico_trials::Trial;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    counter::*,
    place::{Place, assert_gap_free, on_every_database, within},
};

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        hundreds_at_once_all_count,
        hundreds_across_two_processes_all_count,
        a_repeated_command_has_one_effect,
        a_repetition_is_not_refused_by_the_rules,
        a_reused_key_is_told,
        a_reused_key_is_told_in_a_race,
        an_expected_version_holds,
        steps_of_one_call_are_kept_apart,
        of_two_who_close_one_does,
        what_another_process_has_appended_counts,
        what_is_written_beside_is_all_or_nothing,
        a_log_that_lost_its_end_is_followed,
    )
}

/// Each conflict is decided anew, so the work grows with the square of it.
const COMMANDS: usize = 300;

async fn increments(stores: &[portico_eventstore::EventStore]) {
    let id = new_id();
    let mut commands = JoinSet::new();
    for store in stores.iter().cycle().take(COMMANDS) {
        let store = store.clone();
        commands.spawn(async move {
            store
                .execute::<Counter>(id, &Command::Add(1), &context(new_id()))
                .await
        });
    }
    while let Some(done) = within(commands.join_next()).await {
        done.unwrap().unwrap();
    }
    let loaded = stores[0].load::<Counter>(id).await.unwrap();
    assert_eq!((loaded.state.total, loaded.version), (300, 300));
    assert_eq!(assert_gap_free(&stores[0]).await, 300);
}

async fn hundreds_at_once_all_count(place: Place) {
    increments(&[place.open().await]).await;
}

async fn hundreds_across_two_processes_all_count(place: Place) {
    increments(&[place.open().await, place.open().await]).await;
}

async fn a_repeated_command_has_one_effect(place: Place) {
    let stores = [place.open().await, place.open().await];
    let (id, command_id) = (new_id(), new_id());
    let mut commands = JoinSet::new();
    for n in 0..16 {
        let store = stores[n % 2].clone();
        commands.spawn(async move {
            let command = Command::AddEach(vec![1, 2, 3]);
            store
                .execute::<Counter>(id, &command, &context(command_id))
                .await
        });
    }
    let mut effects = 0;
    while let Some(done) = within(commands.join_next()).await {
        let outcome = done.unwrap().unwrap();
        assert_eq!((outcome.state.total, outcome.version), (6, 3));
        effects += outcome.events.len();
    }
    assert_eq!(effects, 3);
    assert_eq!(assert_gap_free(&stores[0]).await, 3);
}

async fn a_repetition_is_not_refused_by_the_rules(place: Place) {
    let store = place.open().await;
    let (id, call) = (new_id(), context(new_id()));
    let add = Command::Add(1);
    store.execute::<Counter>(id, &add, &call).await.unwrap();
    store
        .execute::<Counter>(id, &Command::Close, &context(new_id()))
        .await
        .unwrap();
    let again = store.execute::<Counter>(id, &add, &call).await.unwrap();
    assert!(again.events.is_empty());
    // Nor by the version that the caller expected then.
    store
        .execute_at::<Counter>(id, 1, &add, &call)
        .await
        .unwrap();
    let new = store.execute::<Counter>(id, &add, &context(new_id())).await;
    assert!(matches!(new, Err(ExecuteError::Rejected(Closed))));
}

fn keyed(command_id: Uuid, digest: &str) -> Context {
    let mut context = context(command_id);
    context.metadata.command_digest = Some(digest.to_owned());
    context
}

async fn a_reused_key_is_told(place: Place) {
    let store = place.open().await;
    let (id, key) = (new_id(), new_id());
    store
        .execute::<Counter>(id, &Command::Add(1), &keyed(key, "one"))
        .await
        .unwrap();
    let same = store
        .execute::<Counter>(id, &Command::Add(1), &keyed(key, "one"))
        .await;
    assert!(same.unwrap().events.is_empty());
    let other = store
        .execute::<Counter>(id, &Command::Add(2), &keyed(key, "two"))
        .await;
    assert!(matches!(other, Err(ExecuteError::KeyReused)));
    assert_eq!(total(&store, id).await, Some(1));
}

async fn a_reused_key_is_told_in_a_race(place: Place) {
    let stores = [place.open().await, place.open().await];
    for _ in 0..20 {
        let (id, key) = (new_id(), new_id());
        let mut commands = JoinSet::new();
        for n in 0..8_i64 {
            let store = stores[usize::try_from(n % 2).unwrap()].clone();
            commands.spawn(async move {
                let call = keyed(key, &n.to_string());
                store
                    .execute::<Counter>(id, &Command::Add(n + 1), &call)
                    .await
            });
        }
        let mut successes = 0;
        while let Some(done) = within(commands.join_next()).await {
            match done.unwrap() {
                Ok(outcome) => successes += outcome.events.len(),
                Err(error) => assert!(matches!(error, ExecuteError::KeyReused), "{error:?}"),
            }
        }
        assert_eq!(successes, 1);
    }
}

async fn an_expected_version_holds(place: Place) {
    let store = place.open().await;
    let id = new_id();
    let at = |version| {
        let store = store.clone();
        async move {
            store
                .execute_at::<Counter>(id, version, &Command::Add(1), &context(new_id()))
                .await
        }
    };
    at(0).await.unwrap();
    at(1).await.unwrap();
    match at(1).await {
        Err(ExecuteError::VersionMismatch { expected, actual }) => {
            assert_eq!((expected, actual), (1, 2));
        }
        other => panic!("{other:?}"),
    }
    // Of many who have seen the same version one changes it.
    let mut commands = JoinSet::new();
    (0..16).for_each(|_| drop(commands.spawn(at(2))));
    let mut done = 0;
    while let Some(result) = within(commands.join_next()).await {
        match result.unwrap() {
            Ok(_) => done += 1,
            Err(error) => assert!(matches!(error, ExecuteError::VersionMismatch { .. })),
        }
    }
    assert_eq!(done, 1);
}

async fn steps_of_one_call_are_kept_apart(place: Place) {
    let store = place.open().await;
    let (id, call) = (new_id(), context(new_id()));
    for context in [&call, &call.step("second"), &call, &call.step("second")] {
        store
            .execute::<Counter>(id, &Command::Add(1), context)
            .await
            .unwrap();
    }
    assert_eq!(total(&store, id).await, Some(2));
}

async fn of_two_who_close_one_does(place: Place) {
    let stores = [place.open().await, place.open().await];
    for _ in 0..100 {
        let id = new_id();
        let close = |store: usize| {
            let store = stores[store].clone();
            async move {
                store
                    .execute::<Counter>(id, &Command::Close, &context(new_id()))
                    .await
            }
        };
        let (one, two) = tokio::join!(close(0), close(1));
        let events = one.unwrap().events.len() + two.unwrap().events.len();
        assert_eq!(events, 1);
    }
    assert_eq!(assert_gap_free(&stores[0]).await, 100);
}

/// Each process remembers the states that it saw last. An old one neither refuses nor grants anything.
async fn what_another_process_has_appended_counts(place: Place) {
    let [here, there] = [place.open().await, place.open().await];
    let id = new_id();
    let run = async |store: &EventStore, command: Command| {
        let context = context(new_id());
        let done = store.execute::<Counter>(id, &command, &context).await;
        done.map(|outcome| outcome.state.total)
    };
    assert_eq!(run(&here, Command::Add(1)).await.unwrap(), 1);
    assert_eq!(run(&there, Command::Add(2)).await.unwrap(), 3);
    // Decided on 1, which nobody has any more.
    assert_eq!(run(&here, Command::Add(4)).await.unwrap(), 7);
    assert_eq!(here.load::<Counter>(id).await.unwrap().version, 3);
    assert_eq!(run(&there, Command::Close).await.unwrap(), 7);
    // The one that is known here is open, and takes anything.
    let refused = run(&here, Command::Add(1)).await;
    assert!(
        matches!(refused, Err(ExecuteError::Rejected(Closed))),
        "{refused:?}"
    );
    // And what has no effect any more has none, whatever is remembered.
    assert_eq!(run(&here, Command::Close).await.unwrap(), 7);
    assert_eq!(assert_gap_free(&here).await, 4);
    for version in 1..=4 {
        let at = here.load_at::<Counter>(id, version).await.unwrap();
        assert_eq!(
            at.total,
            [1, 3, 7, 7][usize::try_from(version - 1).unwrap()]
        );
    }
}

/// In the transaction of the append: with it, once, or not at all.
async fn what_is_written_beside_is_all_or_nothing(place: Place) {
    let store = place.open().await;
    let beside = |statement: &'static str| {
        Beside::new(move |tx| {
            let write = async move { tx.execute(statement, Vec::new()).await };
            write.map(|done| done.map_err(Into::into)).boxed()
        })
    };
    let id = new_id();
    let run = async |context: &Context, statement| {
        let beside = Some(beside(statement));
        let command = Command::Add(1);
        let done = store.execute_beside::<Counter>(id, 0, &command, context, beside);
        done.await.map(|outcome| outcome.events.len())
    };
    let good = "INSERT INTO checkpoints (name, position) VALUES ('beside', 1)";
    let first = context(new_id());
    assert_eq!(run(&first, good).await.unwrap(), 1);
    // The same command again: the row would be there twice.
    assert_eq!(run(&first, good).await.unwrap(), 0);
    let refused = run(&context(new_id()), good).await;
    assert!(
        matches!(refused, Err(ExecuteError::Store(_))),
        "{refused:?}"
    );
    let broken = run(&context(new_id()), "INSERT INTO nowhere VALUES (1)").await;
    assert!(matches!(broken, Err(ExecuteError::Store(_))), "{broken:?}");
    assert_eq!(assert_gap_free(&store).await, 1);
}

/// As after a failover to a standby that was behind.
async fn a_log_that_lost_its_end_is_followed(place: Place) {
    let store = place.open().await;
    let id = new_id();
    let add = async |by| {
        let context = context(new_id());
        let command = Command::Add(by);
        let done = store.execute::<Counter>(id, &command, &context).await;
        done.unwrap().state.total
    };
    assert_eq!((add(1).await, add(2).await), (1, 3));
    sqlx::query("DELETE FROM events WHERE position = 2")
        .execute(store.database().pool())
        .await
        .unwrap();
    assert_eq!(add(4).await, 5);
    let loaded = store.load::<Counter>(id).await.unwrap();
    assert_eq!((loaded.state.total, loaded.version), (5, 2));
    assert_eq!(store.read(1, 10).await.unwrap().len(), 1);
}
