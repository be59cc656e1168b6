//! Any sequence of commands: what the store says equals a refold, and so does the view.

use portico_eventstore::{Aggregate, EventStore, ExecuteError, testing::context};
use portico_trials::{POSTGRESQL, Trial, trials};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::runtime::Runtime;

use crate::{counter::*, place::Place};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = trials!(sync, []; sqlite_equals_a_refold);
    trials.extend(trials!(sync, [POSTGRESQL]; postgres_equals_a_refold));
    trials
}

/// Each case is a stream of its own in one log.
const CASES: u32 = 64;

fn commands() -> impl Strategy<Value = Vec<(Command, bool)>> {
    let by = 0..1000_i64;
    let command = prop_oneof![
        6 => by.clone().prop_map(Command::Add),
        3 => prop::collection::vec(by, 0..4).prop_map(Command::AddEach),
        1 => Just(Command::Close),
    ];
    // The flag: whether the caller repeats it.
    prop::collection::vec((command, any::<bool>()), 0..12)
}

async fn check(store: &EventStore, commands: Vec<(Command, bool)>) -> Result<(), TestCaseError> {
    let id = new_id();
    let mut model = Counter::default();
    for (command, repeated) in commands {
        let call = context(new_id());
        let expected = model.decide(&command);
        if let Ok(events) = &expected {
            events.iter().for_each(|event| model.evolve(event));
        }
        for time in 0..=usize::from(repeated) {
            match (
                store.execute::<Counter>(id, &command, &call).await,
                &expected,
            ) {
                (Ok(outcome), Ok(events)) => {
                    prop_assert_eq!(&outcome.state, &model);
                    if time == 0 {
                        prop_assert_eq!(&outcome.events, events);
                    }
                }
                (Err(ExecuteError::Rejected(_)), Err(_)) => {}
                // Quiet at first, and now the counter is closed by nobody else: cannot be.
                (got, wanted) => {
                    return Err(TestCaseError::fail(format!(
                        "{got:?} instead of {wanted:?}"
                    )));
                }
            }
        }
    }
    let loaded = store.load::<Counter>(id).await.unwrap();
    let recorded = store.read_stream(&stream(id)).await.unwrap();
    let mut refolded = Counter::default();
    for event in &recorded {
        refolded.evolve(&event.decode::<Counter>().unwrap().unwrap());
    }
    prop_assert_eq!(&loaded.state, &model);
    prop_assert_eq!(&refolded, &model);
    prop_assert_eq!(loaded.version, i64::try_from(recorded.len()).unwrap());
    let row = totals(store).await.into_iter().find(|row| row.0 == id);
    let row = row.map(|(_, total, closed)| (total, closed == 1));
    let folded = (!recorded.is_empty()).then_some((model.total, model.closed));
    prop_assert_eq!(row, folded);
    Ok(())
}

fn run(place: impl Future<Output = Place>) {
    let runtime = Runtime::new().unwrap();
    let place = runtime.block_on(place);
    let store = runtime.block_on(place.open());
    let mut runner = TestRunner::new(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&commands(), |commands| {
            runtime.block_on(check(&store, commands))
        })
        .unwrap();
}

fn sqlite_equals_a_refold() {
    run(async { Place::sqlite() });
}

fn postgres_equals_a_refold() {
    run(Place::postgres());
}
