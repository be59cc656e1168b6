//! What is pruned, in which steps, and that nobody notices.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use portico_bus::{ConsumerSpec, Message, PUBLISHED_BY};
use portico_eventstore::{
    Context, EventStore, InboxEntry, Lease,
    consumer::{Consumer, Policy, PolicyError, drop_parked, parked, release_parked},
    retention::{Expiry, Format, Pruner, Retention},
    sqlx::{self, Row as _},
    testing::context,
};
use portico_trials::{POSTGRESQL, Trial, trials};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::{runtime::Runtime, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    counter::*,
    place::{Place, eventually, on_every_database, within},
    stub::*,
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = on_every_database!(
        what_was_pruned_counts_as_handled_where_it_is_repeated,
        a_mark_rises_only_while_its_consumer_keeps_up,
        a_subject_that_is_new_has_no_mark_yet,
        parked_messages_stay_and_dropped_ones_stay_dropped,
        pruning_goes_in_small_steps_and_on_after_a_kill,
    );
    trials.extend(trials!(sync, []; sqlite_pruning_changes_no_effect));
    trials.extend(trials!(sync, [POSTGRESQL]; postgres_pruning_changes_no_effect));
    trials
}

const SPEC: ConsumerSpec = ConsumerSpec {
    name: "gate",
    subjects: &[ADDED],
};
const DAY: u64 = 24 * 60 * 60;
/// What it adds is never handled before it is cured.
const POISON: i64 = 13;

/// Adds what it hears once the counter is at 100; before, it has nothing to say. So a message that is forgotten has an
/// effect when it comes again.
struct Gate {
    store: EventStore,
    id: Uuid,
}

#[async_trait]
impl Policy for Gate {
    async fn handle(
        &self,
        message: &Message,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let by = i64::from_be_bytes(message.payload[..].try_into().unwrap());
        let is_open = self.store.load::<Counter>(self.id).await?.state.total >= 100;
        if by == POISON && !is_open {
            return Err(PolicyError::Poison("it is poison".into()));
        }
        let command = Command::Add(if is_open { by } else { 0 });
        let done = self
            .store
            .execute_once::<Counter>(self.id, &command, context, entry);
        done.await.map(drop).map_err(PolicyError::from)
    }
}

/// A service with one consumer, and what prunes it.
struct World {
    store: EventStore,
    bus: StubBus,
    clock: TestClock,
    id: Uuid,
    pruner: Pruner,
    running: JoinHandle<()>,
    shutdown: CancellationToken,
}

fn settings() -> Retention {
    Retention {
        messages: Duration::from_secs(30 * DAY),
        bus: Duration::from_secs(7 * DAY),
        every: Duration::from_secs(3600),
        rows: 1000,
        pause: Duration::ZERO,
    }
}

impl World {
    async fn start(place: &Place, service: &str, clock: &TestClock, id: Uuid) -> Self {
        let store = place.open_as(service).await;
        let bus = StubBus::default();
        let database = store.database().clone();
        let consumer = Consumer {
            spec: SPEC,
            bus: Arc::new(bus.clone()),
            database: database.clone(),
            policy: Arc::new(Gate {
                store: store.clone(),
                id,
            }),
            clock: clock.clock(),
        };
        let ttl = Duration::from_secs(10);
        let pruner = Pruner {
            bus: Arc::new(bus.clone()),
            consumers: vec![SPEC],
            expiries: Vec::new(),
            settings: settings(),
            lease: Lease::new(database.clone(), Pruner::LEASE, new_id(), ttl),
            clock: clock.clock(),
            database,
        };
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(consumer.run(shutdown.clone()));
        Self {
            store,
            bus,
            clock: clock.clone(),
            id,
            pruner,
            running,
            shutdown,
        }
    }

    /// Delivers, and it is acknowledged.
    async fn deliver(&self, message: &Message) {
        assert!(within(self.bus.deliver(message.clone(), 1)).await.unwrap());
    }

    async fn prune(&self) {
        within(self.pruner.turn()).await.unwrap();
    }

    /// A month and more in which all goes well.
    async fn months(&self) {
        for _ in 0..12 {
            self.clock.forward(5 * DAY);
            self.prune().await;
        }
    }

    async fn open_gate(&self) {
        let (open, call) = (Command::Add(100), context(new_id()));
        let done = self.store.execute::<Counter>(self.id, &open, &call);
        done.await.unwrap();
    }

    async fn total(&self) -> i64 {
        let loaded = self.store.load::<Counter>(self.id).await;
        loaded.unwrap().state.total
    }

    async fn rows(&self, table: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let row = sqlx::query(sql).fetch_one(self.store.database().pool());
        row.await.unwrap().get(0)
    }

    async fn stop(self) {
        self.shutdown.cancel();
        within(self.running).await.unwrap();
    }
}

fn message(by: i64) -> Message {
    Message {
        id: new_id(),
        subject: ADDED.into(),
        payload: by.to_be_bytes().to_vec().into(),
        headers: BTreeMap::new(),
    }
}

/// As the relay publishes it again.
fn again(message: &Message, published_by: Timestamp) -> Message {
    let mut message = message.clone();
    let by = published_by.to_string();
    message.headers.insert(PUBLISHED_BY.into(), by);
    message
}

async fn what_was_pruned_counts_as_handled_where_it_is_repeated(place: Place) {
    let clock = TestClock::default();
    let world = World::start(&place, "test", &clock, new_id()).await;
    world.prune().await;
    let old = message(1);
    world.deliver(&old).await;
    let published_by = clock.now();
    assert_eq!(world.rows("inbox").await, 1);
    world.months().await;
    assert_eq!(world.rows("inbox").await, 0);
    world.open_gate().await;
    world.deliver(&again(&old, published_by)).await;
    assert_eq!(world.total().await, 100, "it has no second effect");
    // Whenever it was recorded: the relay may have been away for months.
    world.deliver(&message(2)).await;
    assert_eq!(world.total().await, 102, "it has its first");
    world.deliver(&again(&message(3), clock.now())).await;
    assert_eq!(world.total().await, 105, "it is above the mark");
    world.stop().await;
}

async fn a_mark_rises_only_while_its_consumer_keeps_up(place: Place) {
    let clock = TestClock::default();
    let world = World::start(&place, "test", &clock, new_id()).await;
    world.prune().await;
    world.deliver(&message(1)).await;
    // A message that waits on the bus is not handled, however long it does.
    let (waits, published_by) = (message(2), clock.now());
    world.bus.set_backlog(1);
    world.months().await;
    // For so long the bus may have lost it: the first look afterwards does not count.
    world.bus.set_backlog(0);
    world.prune().await;
    assert_eq!(world.rows("inbox").await, 1);
    world.open_gate().await;
    world.deliver(&again(&waits, published_by)).await;
    assert_eq!(world.total().await, 102);
    world.months().await;
    assert_eq!(world.rows("inbox").await, 0);
    world.stop().await;
}

async fn a_subject_that_is_new_has_no_mark_yet(place: Place) {
    let clock = TestClock::default();
    let world = World::start(&place, "test", &clock, new_id()).await;
    world.prune().await;
    world.months().await;
    let published_by = clock.now();
    world.months().await;
    let pool = world.store.database().pool();
    let gone = sqlx::query("DELETE FROM low_water_marks").execute(pool);
    gone.await.unwrap();
    world.prune().await;
    world.open_gate().await;
    world.deliver(&again(&message(1), published_by)).await;
    assert_eq!(world.total().await, 101);
    world.stop().await;
}

async fn parked_messages_stay_and_dropped_ones_stay_dropped(place: Place) {
    let clock = TestClock::default();
    let world = World::start(&place, "test", &clock, new_id()).await;
    world.prune().await;
    let database = world.store.database().clone();
    let dropped = message(POISON);
    world.deliver(&dropped).await;
    drop_parked(&database, SPEC.name, None, "an admin", clock.now())
        .await
        .unwrap();
    let poison = message(POISON);
    world.deliver(&poison).await;
    let published_by = clock.now();
    world.months().await;
    assert_eq!(world.rows("dropped").await, 0);
    assert_eq!(parked(&database, SPEC.name).await.unwrap(), 1);
    world.open_gate().await;
    for message in [&poison, &dropped] {
        world.deliver(&again(message, published_by)).await;
        assert_eq!(world.total().await, 100, "an admin decides");
    }
    release_parked(&database, SPEC.name, Some(poison.id))
        .await
        .unwrap();
    eventually("it is handled", async || {
        world.total().await == 100 + POISON
    })
    .await;
    world.stop().await;
}

async fn pruning_goes_in_small_steps_and_on_after_a_kill(place: Place) {
    let clock = TestClock::default();
    let mut world = World::start(&place, "test", &clock, new_id()).await;
    world.prune().await;
    for by in 0..10 {
        world.deliver(&message(by)).await;
    }
    let young = Expiry {
        table: "inbox",
        ended: "SELECT consumer, message_id FROM inbox WHERE handled_ms < $1 LIMIT $2",
        key: "(consumer, message_id)",
        time: Format::Milliseconds,
        keep: Duration::from_secs(60),
    };
    world.pruner.expiries = vec![young];
    clock.forward(61);
    world.pruner.settings.rows = 3;
    // A pause of this clock lasts until the test moves it: the process dies in it.
    world.pruner.settings.pause = Duration::from_secs(1);
    let mut turn = Box::pin(world.pruner.turn());
    eventually("the first step is done", async || {
        tokio::select! {
            biased;
            done = &mut turn => panic!("it has not paused: {done:?}"),
            rows = world.rows("inbox") => rows == 7,
        }
    })
    .await;
    drop(turn);
    world.pruner.settings.pause = Duration::ZERO;
    within(world.pruner.turn()).await.unwrap();
    assert_eq!(world.rows("inbox").await, 0);
    world.stop().await;
}

/// What happens to a few messages.
#[derive(Debug, Clone)]
enum Step {
    /// The relay publishes it for the first time.
    Publish(usize),
    /// The bus delivers what was published, or once more.
    Deliver(usize),
    /// The relay has published it again, and the bus delivers that.
    Repeat(usize),
    Open,
    Wait(u64),
    Prune,
    Restart,
}

const MESSAGES: usize = 5;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = || 0..MESSAGES;
    let step = prop_oneof![
        4 => one().prop_map(Step::Publish),
        4 => one().prop_map(Step::Deliver),
        4 => one().prop_map(Step::Repeat),
        1 => Just(Step::Open),
        3 => (1..15_u64).prop_map(Step::Wait),
        6 => Just(Step::Prune),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 10..60)
}

/// What the bus does in the model: it has a message until it is acknowledged, and may repeat it for two weeks.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Source,
    Bus(u64),
    Handled(u64),
}

/// The same steps in two services, one of which prunes: the same effects.
async fn check(place: &Place, clock: &TestClock, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let id = new_id();
    let mut worlds = [
        World::start(place, "keeps", clock, id).await,
        World::start(place, "prunes", clock, id).await,
    ];
    let messages: Vec<Message> = (1..).take(MESSAGES).map(|n| message(1 << n)).collect();
    let mut published_by = [clock.now(); MESSAGES];
    let mut at = [At::Source; MESSAGES];
    let mut day = 0;
    for step in steps {
        match step {
            Step::Publish(n) if at[n] == At::Source => {
                at[n] = At::Bus(day);
                published_by[n] = clock.now();
            }
            Step::Deliver(n) => {
                let (At::Bus(since) | At::Handled(since)) = at[n] else {
                    continue;
                };
                if at[n] == At::Handled(since) && day - since > 14 {
                    continue;
                }
                for world in &worlds {
                    world.deliver(&messages[n]).await;
                }
                at[n] = At::Handled(since);
            }
            Step::Repeat(n) if at[n] != At::Source => {
                for world in &worlds {
                    world.deliver(&again(&messages[n], published_by[n])).await;
                }
            }
            Step::Open => {
                for world in &worlds {
                    world.open_gate().await;
                }
            }
            Step::Wait(days) => {
                day += days;
                clock.forward(days * DAY);
            }
            Step::Prune => {
                let waiting = at.iter().filter(|at| matches!(at, At::Bus(_))).count();
                worlds[1].bus.set_backlog(waiting as u64);
                worlds[1].prune().await;
            }
            Step::Restart => {
                let [keeps, prunes] = worlds;
                keeps.stop().await;
                prunes.stop().await;
                worlds = [
                    World::start(place, "keeps", clock, id).await,
                    World::start(place, "prunes", clock, id).await,
                ];
            }
            Step::Publish(_) | Step::Repeat(_) => {}
        }
        prop_assert_eq!(worlds[0].total().await, worlds[1].total().await);
    }
    for world in worlds {
        world.stop().await;
    }
    Ok(())
}

fn run(place: impl Future<Output = Place>) {
    let runtime = Runtime::new().unwrap();
    let place = runtime.block_on(place);
    // What one case leaves behind is old for the next.
    let clock = TestClock::default();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&steps(), |steps| {
            clock.forward(90 * DAY);
            runtime.block_on(check(&place, &clock, steps))
        })
        .unwrap();
}

fn sqlite_pruning_changes_no_effect() {
    run(async { Place::sqlite() });
}

fn postgres_pruning_changes_no_effect() {
    run(Place::postgres());
}
