//! From the bus to an effect, and where a message goes that has none.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use portico_bus::{ConsumerSpec, Message};
use portico_eventstore::{
    Context, EventStore, InboxEntry, StoreError,
    consumer::{
        Consumer, MAX_ATTEMPTS, Parked, ParkedFilter, ParkedStatus, Policy, PolicyError,
        drop_parked, list_parked, parked, release_parked,
    },
};
use portico_trials::Trial;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    counter::*,
    place::{Place, eventually, on_every_database, within},
    stub::*,
};

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        a_message_is_acknowledged_after_its_effect,
        poison_is_parked_and_the_rest_goes_on,
        what_may_go_well_later_is_parked_after_some_tries,
        what_is_away_is_never_a_reason_to_park,
        a_released_message_is_handled_in_the_end,
        a_dropped_message_is_never_handled,
        parked_messages_are_listed_page_by_page,
        what_only_a_newer_replica_knows_is_left_to_it,
    )
}

const SPEC: ConsumerSpec = ConsumerSpec {
    name: "adder",
    subjects: &[ADDED],
};
const POISON: i64 = 13;
const AWAY: i64 = 14;
const LATER: i64 = 15;

/// Adds what it hears to one counter.
struct Adder {
    store: EventStore,
    id: Uuid,
    cured: Arc<AtomicBool>,
}

#[async_trait]
impl Policy for Adder {
    async fn handle(
        &self,
        message: &Message,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let by = i64::from_be_bytes(message.payload[..].try_into().unwrap());
        if !self.cured.load(Ordering::SeqCst) {
            match by {
                POISON => return Err(PolicyError::Poison("it is poison".into())),
                AWAY => return Err(StoreError::Unavailable("it is away".into()).into()),
                LATER => return Err(PolicyError::Retry("not yet".into())),
                _ => {}
            }
        }
        self.store
            .execute_once::<Counter>(self.id, &Command::Add(by), context, entry)
            .await
            .map(drop)
            .map_err(|error| PolicyError::Retry(error.to_string()))
    }
}

struct Running {
    store: EventStore,
    bus: StubBus,
    id: Uuid,
    cured: Arc<AtomicBool>,
    task: JoinHandle<()>,
    shutdown: CancellationToken,
}

async fn start(place: &Place) -> Running {
    let store = place.open().await;
    let (bus, id, cured) = (StubBus::default(), new_id(), Arc::default());
    let policy = Adder {
        store: store.clone(),
        id,
        cured: Arc::clone(&cured),
    };
    let consumer = Consumer {
        spec: SPEC,
        bus: Arc::new(bus.clone()),
        database: store.database().clone(),
        policy: Arc::new(policy),
        clock: TestClock::default().clock(),
    };
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(consumer.run(shutdown.clone()));
    Running {
        store,
        bus,
        id,
        cured,
        task,
        shutdown,
    }
}

impl Running {
    /// Delivers; whether it was acknowledged.
    async fn deliver(&self, message: &Message, attempt: u32) -> bool {
        let settled = self.bus.deliver(message.clone(), attempt);
        within(settled).await.unwrap()
    }

    async fn parked(&self) -> i64 {
        parked(self.store.database(), SPEC.name).await.unwrap()
    }

    async fn list(&self) -> Vec<Parked> {
        list_parked(self.store.database(), &ParkedFilter::default())
            .await
            .unwrap()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        within(self.task).await.unwrap();
    }
}

fn message(by: i64) -> Message {
    Message {
        id: new_id(),
        subject: ADDED.into(),
        payload: by.to_be_bytes().to_vec().into(),
        headers: BTreeMap::from([("correlation".into(), Uuid::from_u128(77).to_string())]),
    }
}

async fn a_message_is_acknowledged_after_its_effect(place: Place) {
    let running = start(&place).await;
    let message = message(5);
    for attempt in 1..=3 {
        assert!(running.deliver(&message, attempt).await);
        assert_eq!(total(&running.store, running.id).await, Some(5));
    }
    let event = &running.store.read(0, 1).await.unwrap()[0];
    assert_eq!(event.metadata.causation, Some(message.id));
    assert_eq!(event.metadata.correlation, Some(Uuid::from_u128(77)));
    assert_eq!(event.metadata.actor, "service:adder");
    running.stop().await;
}

async fn poison_is_parked_and_the_rest_goes_on(place: Place) {
    let running = start(&place).await;
    let poison = message(POISON);
    assert!(running.deliver(&poison, 1).await);
    assert!(running.deliver(&message(5), 1).await);
    assert_eq!(total(&running.store, running.id).await, Some(5));
    assert_eq!(running.parked().await, 1);
    let list = running.list().await;
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].message_id, poison.id);
    assert_eq!(
        (list[0].reason.as_str(), list[0].attempts),
        ("it is poison", 1)
    );
    running.stop().await;
}

async fn what_may_go_well_later_is_parked_after_some_tries(place: Place) {
    let running = start(&place).await;
    let message = message(LATER);
    for attempt in 1..MAX_ATTEMPTS {
        assert!(!running.deliver(&message, attempt).await);
    }
    assert_eq!(running.parked().await, 0);
    assert!(running.deliver(&message, MAX_ATTEMPTS).await);
    assert_eq!(running.parked().await, 1);
    running.stop().await;
}

async fn what_is_away_is_never_a_reason_to_park(place: Place) {
    let running = start(&place).await;
    let message = message(AWAY);
    assert!(!running.deliver(&message, 1).await);
    assert!(!running.deliver(&message, MAX_ATTEMPTS * 100).await);
    assert_eq!(running.parked().await, 0);
    running.cured.store(true, Ordering::SeqCst);
    assert!(running.deliver(&message, MAX_ATTEMPTS * 100 + 1).await);
    assert_eq!(total(&running.store, running.id).await, Some(AWAY));
    running.stop().await;
}

async fn a_released_message_is_handled_in_the_end(place: Place) {
    let running = start(&place).await;
    for _ in 0..2 {
        assert!(running.deliver(&message(POISON), 1).await);
    }
    let database = running.store.database();
    let release = |id| release_parked(database, SPEC.name, id);
    let before = running.list().await.swap_remove(0);
    let first = before.message_id;
    // Released too early, twice, it is parked again.
    assert_eq!(release(Some(first)).await.unwrap(), 1);
    release(Some(first)).await.unwrap();
    eventually("it is parked again", async || {
        let list = running.list().await;
        list.len() == 2 && list.iter().all(|one| one.status == ParkedStatus::Parked)
    })
    .await;
    let again = running.list().await;
    let again = again.iter().find(|one| one.message_id == first).unwrap();
    assert!(again.attempts > before.attempts, "{again:?}");
    assert_eq!(again.first_parked_at, before.first_parked_at);
    running.cured.store(true, Ordering::SeqCst);
    assert_eq!(release(None).await.unwrap(), 2);
    eventually("none is parked", async || running.parked().await == 0).await;
    assert_eq!(total(&running.store, running.id).await, Some(2 * POISON));
    assert_eq!(release(Some(first)).await.unwrap(), 0);
    running.stop().await;
}

async fn a_dropped_message_is_never_handled(place: Place) {
    let running = start(&place).await;
    let poison = message(POISON);
    assert!(running.deliver(&poison, 1).await);
    let (database, now) = (running.store.database(), TestClock::default().now());
    let give_up = || drop_parked(database, SPEC.name, Some(poison.id), "somebody", now);
    assert_eq!(give_up().await.unwrap(), 1);
    assert_eq!(give_up().await.unwrap(), 0);
    assert_eq!(running.parked().await, 0);
    assert_eq!(release_parked(database, SPEC.name, None).await.unwrap(), 0);
    let dropped = ParkedFilter {
        status: "dropped".into(),
        ..ParkedFilter::default()
    };
    let dropped = list_parked(database, &dropped).await.unwrap();
    let by = ParkedStatus::Dropped {
        at: now,
        by: "somebody".into(),
    };
    assert_eq!((dropped.len(), &dropped[0].status), (1, &by));
    assert_eq!(dropped[0].reason, "it is poison");
    // Published again, when it could be handled.
    running.cured.store(true, Ordering::SeqCst);
    assert!(running.deliver(&poison, 1).await);
    assert_eq!(total(&running.store, running.id).await, None);
    running.stop().await;
}

async fn parked_messages_are_listed_page_by_page(place: Place) {
    let running = start(&place).await;
    for _ in 0..5 {
        assert!(running.deliver(&message(POISON), 1).await);
    }
    let database = running.store.database();
    let mut filter = ParkedFilter {
        consumer: SPEC.name.into(),
        subject: ADDED.into(),
        limit: 2,
        ..ParkedFilter::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = list_parked(database, &filter).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some(last.key());
        seen.extend(page);
    }
    assert_eq!(seen, running.list().await);
    assert_eq!(seen.len(), 5);
    filter.after = None;
    filter.consumer = "another".into();
    assert_eq!(list_parked(database, &filter).await.unwrap(), []);
    running.stop().await;
}

async fn what_only_a_newer_replica_knows_is_left_to_it(place: Place) {
    let running = start(&place).await;
    let newer = Message {
        subject: "portico.test.invented_later".into(),
        ..message(5)
    };
    assert!(!running.deliver(&newer, MAX_ATTEMPTS + 1).await);
    assert_eq!(running.parked().await, 0);
    running.stop().await;
}
