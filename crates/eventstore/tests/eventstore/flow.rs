//! End to end: one service's log -> relay -> bus -> consumer -> another service's log.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use portico_bus::{ConsumerSpec, Faults, MemoryBus, Message, NatsBus, NatsSettings, SharedBus};
use portico_eventstore::{
    Context, EventStore, InboxEntry, Lease,
    clock::Clock,
    consumer::{
        Consumer, MAX_ATTEMPTS, Parked, ParkedFilter, Policy, PolicyError, list_parked, parked,
        release_parked,
    },
    relay::{Relay, republish},
};
use portico_trials::{NATS, NatsServer, Trial, trials};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    counter::*,
    place::{Place, assert_gap_free, eventually, on_every_database},
    stub::*,
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = trials!(multi, [NATS];
        nats_goes_on_beside_a_poison_message,
        nats_that_loses_its_data_is_told_again,
        nats_brings_again_what_is_published_again,
    );
    trials.extend(on_every_database!(
        every_event_has_one_effect_however_bad_the_bus,
        nothing_is_lost_when_the_process_dies,
    ));
    trials
}

const SPEC: ConsumerSpec = ConsumerSpec {
    name: "adder",
    subjects: &[ADDED],
};

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
        if by < 0 && !self.cured.load(Ordering::SeqCst) {
            return Err(PolicyError::Retry("less than nothing".into()));
        }
        self.store
            .execute_once::<Counter>(self.id, &Command::Add(by), context, entry)
            .await
            .map(drop)
            .map_err(|error| PolicyError::Unavailable(error.to_string()))
    }
}

/// Two services and the bus between them, as one process. Dropping it is a crash.
struct Process {
    source: EventStore,
    target: EventStore,
    id: Uuid,
    /// From when on negative numbers can be handled.
    cured: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Process {
    async fn start(place: &Place, bus: SharedBus, id: Uuid, clock: Clock) -> Self {
        let source = place.open_as("source").await;
        let target = place.open_as("target").await;
        // A bus that is away is told again when it is back.
        drop(bus.declare(&[SPEC]).await);
        let relay = Relay {
            store: source.clone(),
            bus: Arc::clone(&bus),
            publish: Arc::new(Additions),
            lease: Lease::new(
                source.database().clone(),
                Relay::LEASE,
                new_id(),
                Duration::from_secs(10),
            ),
            clock: clock.clone(),
        };
        let (store, cured) = (target.clone(), Arc::<AtomicBool>::default());
        let adder = Adder {
            store,
            id,
            cured: Arc::clone(&cured),
        };
        let consumer = Consumer {
            spec: SPEC,
            bus,
            database: target.database().clone(),
            policy: Arc::new(adder),
            clock,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(relay.run(CancellationToken::new()));
        tasks.spawn(consumer.run(CancellationToken::new()));
        Self {
            source,
            target,
            id,
            cured,
            tasks,
        }
    }

    async fn arrived(&self) -> i64 {
        total(&self.target, self.id).await.unwrap_or(0)
    }

    async fn crash(mut self) {
        self.tasks.shutdown().await;
    }

    async fn assert_all_arrived(&self, events: i64, sum: i64) {
        eventually("all has arrived", async || self.arrived().await >= sum).await;
        assert_eq!(self.arrived().await, sum);
        assert_eq!(assert_gap_free(&self.target).await, events);
        assert_eq!(parked(self.target.database(), SPEC.name).await.unwrap(), 0);
    }
}

fn bad_bus(seed: u64) -> SharedBus {
    Arc::new(MemoryBus::with_faults(Faults {
        seed,
        duplicate: 0.3,
        delay: Duration::from_millis(5),
        reorder: 0.3,
        drop: 0.1,
    }))
}

async fn every_event_has_one_effect_however_bad_the_bus(place: Place) {
    let clock = TestClock::default().clock();
    let process = Process::start(&place, bad_bus(1), new_id(), clock).await;
    let mut sum = 0;
    for batch in 0..20 {
        let bys: Vec<i64> = (1..=10).map(|n| batch * 10 + n).collect();
        sum += bys.iter().sum::<i64>();
        process
            .source
            .append(append(new_id(), 0, &bys))
            .await
            .unwrap();
    }
    process.assert_all_arrived(200, sum).await;
    process.crash().await;
}

async fn nothing_is_lost_when_the_process_dies(place: Place) {
    let (id, clock) = (new_id(), TestClock::default());
    let mut sum = 0;
    for life in 0..6_i64 {
        let seed = u64::try_from(life).unwrap();
        let process = Process::start(&place, bad_bus(seed), id, clock.clock()).await;
        let before = process.arrived().await;
        let bys: Vec<i64> = (1..=40).map(|n| life * 40 + n).collect();
        sum += bys.iter().sum::<i64>();
        process
            .source
            .append(append(new_id(), 0, &bys))
            .await
            .unwrap();
        // Dies somewhere in the middle of it.
        eventually("some has arrived", async || {
            process.arrived().await > before
        })
        .await;
        process.crash().await;
        clock.forward(11);
    }
    let process = Process::start(&place, bad_bus(99), id, clock.clock()).await;
    process.assert_all_arrived(240, sum).await;
    process.crash().await;
}

async fn nats(server: &NatsServer) -> SharedBus {
    let settings = NatsSettings {
        url: server.url(),
        ack_wait: Duration::from_secs(2),
        ..NatsSettings::default()
    };
    Arc::new(NatsBus::connect(settings).await.unwrap())
}

async fn nats_goes_on_beside_a_poison_message() {
    let server = NatsServer::start().await.unwrap();
    let (place, clock) = (Place::sqlite(), TestClock::default());
    let bus = nats(&server).await;
    let process = Process::start(&place, bus, new_id(), clock.clock()).await;
    let source = process.source.clone();
    source.append(append(new_id(), 0, &[1, -7])).await.unwrap();
    source.append(append(new_id(), 0, &[2])).await.unwrap();
    eventually("the others arrive", async || process.arrived().await == 3).await;
    let list = async || -> Vec<Parked> {
        let database = process.target.database();
        list_parked(database, &ParkedFilter::default())
            .await
            .unwrap()
    };
    // After the last of the deliveries, which come with growing pauses.
    eventually("it is parked", async || !list().await.is_empty()).await;
    let listed = list().await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].attempts, i64::from(MAX_ATTEMPTS));
    assert_eq!(listed[0].reason, "less than nothing");
    assert_eq!(listed[0].subject, ADDED);
    source.append(append(new_id(), 0, &[4])).await.unwrap();
    eventually("the stream goes on", async || process.arrived().await == 7).await;
    process.cured.store(true, Ordering::SeqCst);
    let database = process.target.database();
    release_parked(database, SPEC.name, Some(listed[0].message_id))
        .await
        .unwrap();
    eventually("it is handled", async || process.arrived().await == 0).await;
    eventually("it is not parked any more", async || {
        list().await.is_empty()
    })
    .await;
    process.crash().await;
}

/// Also within the time in which the server takes a repeated message for a duplicate.
async fn nats_brings_again_what_is_published_again() {
    let server = NatsServer::start().await.unwrap();
    let (place, clock, id) = (Place::sqlite(), TestClock::default(), new_id());
    let bus = nats(&server).await;
    let process = Process::start(&place, bus, id, clock.clock()).await;
    let source = process.source.clone();
    source.append(append(new_id(), 0, &[1, 2])).await.unwrap();
    process.assert_all_arrived(2, 3).await;
    // The consumer is set back to a backup from before: it has nothing.
    let pool = process.target.database().pool().clone();
    for table in ["events", "inbox", "totals"] {
        let statement = portico_eventstore::sqlx::AssertSqlSafe(format!("DELETE FROM {table}"));
        portico_eventstore::sqlx::query(statement)
            .execute(&pool)
            .await
            .unwrap();
    }
    let now = clock.now();
    republish(source.database(), 0, "somebody", now, new_id())
        .await
        .unwrap();
    clock.forward(4);
    process.assert_all_arrived(2, 3).await;
    process.crash().await;
}

async fn nats_that_loses_its_data_is_told_again() {
    let mut server = NatsServer::start().await.unwrap();
    let bus = nats(&server).await;
    let (place, id, clock) = (Place::sqlite(), new_id(), TestClock::default());
    let process = Process::start(&place, Arc::clone(&bus), id, clock.clock()).await;
    let source = process.source.clone();
    source.append(append(new_id(), 0, &[1, 2])).await.unwrap();
    process.assert_all_arrived(2, 3).await;
    process.crash().await;
    // Published, but never consumed: only the relay runs when the data is lost.
    clock.forward(11);
    let relay = Relay {
        store: source.clone(),
        bus: Arc::clone(&bus),
        publish: Arc::new(Additions),
        lease: Lease::new(
            source.database().clone(),
            Relay::LEASE,
            new_id(),
            Duration::from_secs(10),
        ),
        clock: clock.clock(),
    };
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(relay.run(shutdown.clone()));
    source.append(append(new_id(), 0, &[4])).await.unwrap();
    eventually("the relay has brought it to the bus", async || {
        checkpoint(&source).await == 3
    })
    .await;
    server.wipe().unwrap();
    // While the bus is away, appends go on.
    source.append(append(new_id(), 0, &[8])).await.unwrap();
    server.restart().await.unwrap();
    clock.forward(4);
    shutdown.cancel();
    running.await.unwrap();
    clock.forward(11);
    let process = Process::start(&place, bus, id, clock.clock()).await;
    process.assert_all_arrived(4, 15).await;
    process.crash().await;
}

async fn checkpoint(store: &EventStore) -> i64 {
    use portico_eventstore::sqlx::{self, Row as _};
    let row = sqlx::query("SELECT COALESCE(MAX(position), 0) FROM checkpoints")
        .fetch_one(store.database().pool())
        .await
        .unwrap();
    row.get(0)
}
