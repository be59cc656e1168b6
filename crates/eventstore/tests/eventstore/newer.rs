//! An old replica beside a new one: databases that a newer version has migrated, events that only it knows.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join_all;
use portico_eventstore::{
    Database, DatabaseError, EventStore, ExecuteError, Lease, NewEvent, RecordedEvent, StoreError,
    relay::{PublicEvent, Publish, Relay},
    sqlx,
    testing::context,
};
use portico_trials::{POSTGRESQL, Trial, trials};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    counter::*,
    place::{Place, eventually, on_every_database, within},
    stub::*,
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = on_every_database!(
        processes_that_migrate_at_once_get_on,
        nothing_is_migrated_where_it_is_not_to_be,
        what_a_newer_version_added_does_no_harm,
        what_a_newer_version_took_away_is_named,
        a_migration_that_was_changed_is_named,
        unknown_events_stop_their_stream_only,
        unknown_events_are_published_by_who_knows_them,
    );
    trials.extend(trials!(multi, [POSTGRESQL]; a_role_that_may_make_nothing_can_run));
    trials
}

async fn processes_that_migrate_at_once_get_on(place: Place) {
    let stores = join_all((0..6).map(|_| place.open())).await;
    for (number, store) in (1..).zip(&stores) {
        store.append(append(new_id(), 0, &[number])).await.unwrap();
    }
    assert_eq!(totals(&stores[0]).await.len(), 6);
}

async fn nothing_is_migrated_where_it_is_not_to_be(place: Place) {
    let refused = place.open_as_it_is().await.err().unwrap();
    let DatabaseError::Pending { service, pending } = &refused else {
        panic!("{refused}")
    };
    assert_eq!(service, "test");
    assert_eq!(pending.first().unwrap(), "0001 events");
    assert_eq!(pending.last().unwrap(), "1001 totals");
    assert!(refused.to_string().contains("portico migrate"), "{refused}");
    place.open().await;
    place.open_as_it_is().await.unwrap();
}

/// As if a newer version had run a migration.
async fn ran(place: &Place, version: i64, description: &str) {
    let store = place.open().await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         SELECT $1, $2, success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
    )
    .bind(version)
    .bind(description.to_owned())
    .execute(store.database().pool())
    .await
    .unwrap();
}

async fn what_a_newer_version_added_does_no_harm(place: Place) {
    ran(&place, 3, "add a column").await;
    ran(&place, 1002, "add a table").await;
    // This version knows 1001, so it does not need what this one took away.
    ran(&place, 1003, "needs 1001 drop the old column").await;
    place.open_as_it_is().await.unwrap();
    let store = place.open().await;
    store.append(append(new_id(), 0, &[1])).await.unwrap();
}

async fn what_a_newer_version_took_away_is_named(place: Place) {
    ran(&place, 1003, "needs 1002 drop the old column").await;
    for refused in [
        place.open_as_it_is().await.err().unwrap(),
        place.try_open().await.err().unwrap(),
    ] {
        assert!(
            matches!(
                &refused,
                DatabaseError::Newer { migration: 1003, needed: 1002, service } if service == "test"
            ),
            "{refused}"
        );
    }
}

async fn a_migration_that_was_changed_is_named(place: Place) {
    let store = place.open().await;
    sqlx::query(
        "UPDATE _sqlx_migrations SET checksum = \
         (SELECT checksum FROM _sqlx_migrations WHERE version = 1) WHERE version = 1001",
    )
    .execute(store.database().pool())
    .await
    .unwrap();
    for refused in [
        place.open_as_it_is().await.err().unwrap(),
        place.try_open().await.err().unwrap(),
    ] {
        let words = refused.to_string();
        assert!(
            words.contains("test: migration 1001 was changed after it ran"),
            "{words}"
        );
    }
}

/// An event of a type that this version does not know.
fn invented_later() -> NewEvent {
    NewEvent {
        event_type: "counter.invented_later".into(),
        data: json!({"by": 7}).into(),
        ..added(new_id(), 0)
    }
}

/// Appends as a newer replica would, whose views are not these.
async fn append_as_newer(place: &Place, id: uuid::Uuid, version: i64, event: NewEvent) {
    let newer = EventStore::start(place.open().await.database().clone(), Vec::new())
        .await
        .unwrap();
    let mut append = append(id, version, &[]);
    append.events = vec![event];
    newer.append(append).await.unwrap();
}

async fn unknown_events_stop_their_stream_only(place: Place) {
    let store = place.open().await;
    let (known, unknown, more) = (new_id(), new_id(), new_id());
    append_as_newer(&place, unknown, 0, invented_later()).await;
    let version = NewEvent {
        schema_version: 9,
        ..added(new_id(), 1)
    };
    append_as_newer(&place, more, 0, version).await;
    for id in [unknown, more] {
        let refused = store
            .execute::<Counter>(id, &Command::Add(1), &context(new_id()))
            .await
            .unwrap_err();
        assert!(
            matches!(refused, ExecuteError::Store(StoreError::Newer(_))),
            "{refused}"
        );
    }
    // Members that were added later are no obstacle.
    let member = NewEvent {
        data: json!({"by": 5, "because": "of later"}).into(),
        ..added(new_id(), 5)
    };
    append_as_newer(&place, known, 0, member).await;
    let done = store
        .execute::<Counter>(known, &Command::Add(1), &context(new_id()))
        .await
        .unwrap();
    assert_eq!(done.state.total, 6);
}

/// Knows what was invented later.
struct NewerAdditions;

#[async_trait]
impl Publish for NewerAdditions {
    async fn publish(
        &self,
        store: &EventStore,
        event: &RecordedEvent,
    ) -> Result<Option<PublicEvent>, StoreError> {
        if event.event_type == "counter.invented_later" {
            return Ok(Some(PublicEvent {
                subject: "portico.test.invented_later",
                payload: Vec::new(),
            }));
        }
        Additions.publish(store, event).await
    }
}

async fn unknown_events_are_published_by_who_knows_them(place: Place) {
    let store = place.open().await;
    store.append(append(new_id(), 0, &[1])).await.unwrap();
    append_as_newer(&place, new_id(), 0, invented_later()).await;
    store.append(append(new_id(), 0, &[3])).await.unwrap();
    let shutdown = CancellationToken::new();
    let relay = |publish: Arc<dyn Publish>, bus: &StubBus| {
        let ttl = std::time::Duration::from_secs(10);
        Relay {
            store: store.clone(),
            bus: Arc::new(bus.clone()),
            publish,
            lease: Lease::new(store.database().clone(), Relay::LEASE, new_id(), ttl),
            clock: TestClock::default().clock(),
        }
        .run(shutdown.clone())
    };
    let (old, new) = (StubBus::default(), StubBus::default());
    let first = tokio::spawn(relay(Arc::new(Additions), &old));
    eventually("the old one does what it can", async || {
        old.positions() == [1]
    })
    .await;
    let second = tokio::spawn(relay(Arc::new(NewerAdditions), &new));
    eventually("the new one does the rest", async || {
        new.positions().ends_with(&[2, 3])
    })
    .await;
    shutdown.cancel();
    within(first).await.unwrap();
    within(second).await.unwrap();
    assert!(!old.positions().contains(&2), "{:?}", old.positions());
}

/// Schemas and tables are made by another role (`portico migrate`); this one reads and writes rows.
async fn a_role_that_may_make_nothing_can_run() {
    let place = Place::postgres().await;
    let Place::Postgres(url) = &place else {
        panic!("PostgreSQL")
    };
    let store = place.open().await;
    let role = format!("r{}", new_id().simple());
    for statement in [
        format!("CREATE ROLE {role} LOGIN PASSWORD 'pw'"),
        format!("GRANT USAGE ON SCHEMA portico_test TO {role}"),
        format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA portico_test TO {role}"
        ),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(store.database().pool())
            .await
            .unwrap();
    }
    let (_, host) = url.split_once('@').unwrap();
    let own = Place::Postgres(format!("postgres://{role}:pw@{host}"));
    let database: Database = own.open_as_it_is().await.unwrap();
    let store = EventStore::start(database, vec![Arc::new(Totals)])
        .await
        .unwrap();
    let id = new_id();
    store.append(append(id, 0, &[4])).await.unwrap();
    assert_eq!(total(&store, id).await, Some(4));
    // Migrating where there is nothing to be done needs no more than that.
    own.try_open().await.unwrap();
}
