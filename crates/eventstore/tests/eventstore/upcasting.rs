//! Every payload that was ever stored can be read. The fixtures are payloads of released versions: they are only
//! added to, never changed.

use std::{collections::BTreeSet, fs, path::Path};

use jiff::Timestamp;
use portico_eventstore::{Aggregate, Metadata, RecordedEvent, StoreError, Upcaster};
use portico_trials::{Trial, trials};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{counter::new_id, place::Place, place::on_every_database};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = on_every_database!(old_events_in_the_log_are_read_and_new_ones_written_anew);
    trials.extend(trials!(sync, []; every_fixture_is_read, an_event_that_nobody_knows_is_an_error));
    trials
}

/// Its `named` has had three versions: `title`, `name`, and a name in two parts.
#[derive(Debug, Clone, Default, PartialEq)]
struct Person {
    given: String,
    family: String,
    gone: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
enum Event {
    Named { given: String, family: String },
    Gone,
}

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl Aggregate for Person {
    const CATEGORY: &'static str = "person";
    const UPCASTERS: &'static [Upcaster] = &[
        Upcaster {
            event_type: "person.named",
            from_version: 1,
            upcast: |data| json!({"name": data["title"]}),
        },
        Upcaster {
            event_type: "person.named",
            from_version: 2,
            upcast: split_name,
        },
    ];
    type Command = Event;
    type Event = Event;
    type Rejection = Never;

    fn decide(&self, command: &Event) -> Result<Vec<Event>, Never> {
        Ok(vec![command.clone()])
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Named { given, family } => {
                (self.given, self.family) = (given.clone(), family.clone());
            }
            Event::Gone => self.gone = true,
        }
    }
}

fn split_name(data: Value) -> Value {
    let name = data["name"].as_str().unwrap_or_default();
    let (given, family) = name.split_once(' ').unwrap_or((name, ""));
    json!({"given": given, "family": family})
}

#[derive(Deserialize)]
struct Fixture {
    event_type: String,
    schema_version: i64,
    data: Value,
    reads_as: Event,
}

fn recorded(event_type: &str, schema_version: i64, data: Value) -> RecordedEvent {
    RecordedEvent {
        position: 1,
        id: new_id(),
        stream: format!("person-{}", new_id()),
        version: 1,
        event_type: event_type.to_owned(),
        schema_version,
        data: data.into(),
        metadata: Metadata::default(),
        recorded_at: Timestamp::UNIX_EPOCH,
    }
}

fn every_fixture_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/eventstore/fixtures");
    let mut versions = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let fixture: Fixture = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let event = recorded(&fixture.event_type, fixture.schema_version, fixture.data);
        let read = event.decode::<Person>().unwrap();
        assert_eq!(read, Some(fixture.reads_as), "{}", path.display());
        versions.insert((fixture.event_type, fixture.schema_version));
    }
    // A version without a fixture is a version that nobody looks after.
    for upcaster in Person::UPCASTERS {
        for version in 1..=upcaster.from_version + 1 {
            assert!(versions.contains(&(upcaster.event_type.to_owned(), version)));
        }
    }
}

fn an_event_that_nobody_knows_is_an_error() {
    let event = recorded("person.forgotten", 1, Value::Null);
    assert!(matches!(
        event.decode::<Person>(),
        Err(StoreError::Newer(_))
    ));
    let foreign = RecordedEvent {
        stream: format!("thing-{}", new_id()),
        ..event
    };
    assert_eq!(foreign.decode::<Person>().unwrap(), None);
}

async fn old_events_in_the_log_are_read_and_new_ones_written_anew(place: Place) {
    use portico_eventstore::{sqlx, testing::context};
    let store = place.open().await;
    let id = new_id();
    let named = Event::Named {
        given: "Ada".into(),
        family: "King".into(),
    };
    for event in [named, Event::Gone] {
        store
            .execute::<Person>(id, &event, &context(new_id()))
            .await
            .unwrap();
    }
    let written = store.read(0, 10).await.unwrap();
    let versions: Vec<i64> = written.iter().map(|e| e.schema_version).collect();
    assert_eq!(versions, [3, 1]);
    sqlx::query("UPDATE events SET schema_version = 1, data = $1 WHERE position = 1")
        .bind(r#"{"title":"Grace Hopper"}"#)
        .execute(store.database().pool())
        .await
        .unwrap();
    // Another process, which does not remember how it was written.
    let store = place.open().await;
    let loaded = store.load::<Person>(id).await.unwrap();
    let expected = Person {
        given: "Grace".into(),
        family: "Hopper".into(),
        gone: true,
    };
    assert_eq!(loaded.state, expected);
    assert!(!store.load_at::<Person>(id, 1).await.unwrap().gone);
}
