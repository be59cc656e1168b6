//! given / when / then for deciders; whether views equal a rebuild.

use std::{collections::BTreeSet, fmt::Debug};

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use sqlx::{AssertSqlSafe, Column as _, Row as _};

use crate::{Aggregate, Context, EventStore, Metadata, Row};

/// Checks that the views equal a rebuild, however the log is divided. Gives their rows.
///
/// # Panics
/// When they do not, or the database refuses.
pub async fn assert_equal_a_rebuild(store: &EventStore) -> Vec<String> {
    let mut rows = Vec::new();
    for size in [1, 2, 5, 17, i64::from(u16::MAX)] {
        loop {
            let head = *store.head().borrow();
            let live = rows_of_views(store).await;
            let end = store.replay_by(size, |_| {}).await;
            let end = end.unwrap_or_else(|error| panic!("pages of {size}: {error}"));
            rows = rows_of_views(store).await;
            // Otherwise something was appended meanwhile by whoever works beside the test.
            if head == end && end == *store.head().borrow() {
                for (live, rebuilt) in live.iter().zip(&rows) {
                    assert_eq!(live, rebuilt, "pages of {size}");
                }
                break;
            }
        }
    }
    rows
}

/// Every row as text, in order; how many there are in each table before them.
async fn rows_of_views(store: &EventStore) -> Vec<String> {
    let mut all = Vec::new();
    for table in store.tables() {
        let statement = AssertSqlSafe(format!("SELECT * FROM {table}"));
        let rows = sqlx::query(statement).fetch_all(store.database().pool());
        let rows = rows
            .await
            .unwrap_or_else(|error| panic!("{table}: {error}"));
        let mut rows: Vec<String> = rows.iter().map(|row| text(table, row)).collect();
        rows.sort();
        all.push(format!("{table}: {}", rows.len()));
        all.append(&mut rows);
    }
    all
}

fn text(table: &str, row: &Row) -> String {
    let value = |column: usize| {
        let number = row.try_get::<Option<i64>, _>(column);
        let number = number.map(|number| number.map(|number| number.to_string()));
        let text = number.or_else(|_| row.try_get::<Option<String>, _>(column));
        text.unwrap_or_else(|error| panic!("{table}: {error}"))
    };
    let columns = row.columns().iter();
    let values = columns.map(|column| format!("{}={:?}", column.name(), value(column.ordinal())));
    format!("{table}: {}", values.collect::<Vec<_>>().join(" "))
}

/// Past events of a decider test.
pub struct Given<A>(A);

/// What a command led to.
#[derive(Debug)]
#[must_use]
pub struct Then<A: Aggregate>(Result<Vec<A::Event>, A::Rejection>)
where
    A::Event: Debug;

/// Checks that the stored events of a fixture, a line of JSON each, are still read and nothing of them is lost, and that
/// there is one of every type that the aggregate has.
///
/// # Panics
/// When they are not.
#[track_caller]
pub fn reread<A: Aggregate>(fixture: &str) {
    let mut seen = BTreeSet::new();
    for line in fixture.lines() {
        let mut stored: Value =
            serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        let event_type = stored["type"].as_str().unwrap_or_default().to_owned();
        let Some((category, variant)) = event_type.split_once('.') else {
            panic!("no type: {line}");
        };
        if category != A::CATEGORY {
            continue;
        }
        stored["type"] = variant.into();
        seen.insert(variant.to_owned());
        let event: A::Event =
            serde_json::from_value(stored.clone()).unwrap_or_else(|e| panic!("{event_type}: {e}"));
        let written = serde_json::to_value(event).unwrap_or_default();
        assert!(
            holds(&written, &stored),
            "{event_type}: {written} for {stored}"
        );
    }
    // Serde names the types that it knows when it is given one that it does not; of a nested enum, subject by subject.
    let error = serde_json::from_value::<A::Event>(json!({ "type": "" })).err();
    let words = error.map(|error| error.to_string()).unwrap_or_default();
    for known in words
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|known| !known.is_empty())
    {
        assert!(
            seen.contains(known),
            "no fixture of {}.{known}",
            A::CATEGORY
        );
    }
}

/// Whether everything that was stored is still there; a later version may add members.
fn holds(written: &Value, stored: &Value) -> bool {
    match (written, stored) {
        (Value::Object(now), Value::Object(then)) => then
            .iter()
            .all(|(name, value)| now.get(name).is_some_and(|now| holds(now, value))),
        (Value::Array(now), Value::Array(then)) => {
            now.len() == then.len() && now.iter().zip(then).all(|(now, then)| holds(now, then))
        }
        _ => written == stored,
    }
}

/// Starts a decider test from past events.
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let mut state = A::default();
    for event in events {
        state.evolve(&event);
    }
    Given(state)
}

impl<A: Aggregate> Given<A>
where
    A::Event: Debug,
{
    /// Decides a command.
    pub fn when(self, command: &A::Command) -> Then<A> {
        Then(self.0.decide(command))
    }

    /// The folded state.
    pub fn state(self) -> A {
        self.0
    }
}

impl<A: Aggregate> Then<A>
where
    A::Event: Debug + PartialEq,
    A::Rejection: Debug,
{
    /// It does it: exactly these events.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) {
        let expected: Vec<_> = expected.into_iter().collect();
        match self.0 {
            Ok(events) => assert_eq!(events, expected),
            Err(rejection) => panic!("refused: {rejection:?}, expected {expected:?}"),
        }
    }

    /// It stays quiet: no events, and success.
    #[track_caller]
    pub fn then_nothing(self) {
        self.then([]);
    }

    /// It refuses it: the rejection is for a closer look.
    #[track_caller]
    pub fn then_refused(self) -> A::Rejection {
        match self.0 {
            Err(rejection) => rejection,
            Ok(events) => panic!("not refused, events: {events:?}"),
        }
    }
}

/// A context for store tests: the given command id, a fixed time.
pub fn context(command_id: Uuid) -> Context {
    Context {
        metadata: Metadata {
            actor: "test".to_owned(),
            ..Metadata::default()
        },
        now: Timestamp::UNIX_EPOCH,
        command_id,
    }
}
