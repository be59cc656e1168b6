//! From the log to the bus: all of it, in order, and the checkpoint never before what is safe.

use std::sync::Arc;

use portico_bus::{PUBLISHED_BY, REPUBLISHED};
use portico_eventstore::{
    EventStore, Lease,
    relay::{Relay, republish, status},
    testing::context,
};
use portico_trials::Trial;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    counter::*,
    place::{Place, eventually, on_every_database, within},
    stub::*,
};

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        public_events_are_published_in_order,
        the_checkpoint_stays_before_what_is_not_safe,
        a_bus_that_lost_its_data_gets_everything_again,
        two_relays_take_turns,
        events_are_published_again_on_request,
        a_request_to_publish_again_outlives_a_crash,
        what_is_published_again_says_by_when_it_was_published,
    )
}

fn start(
    store: &EventStore,
    bus: &StubBus,
    clock: &TestClock,
) -> (JoinHandle<()>, CancellationToken) {
    let ttl = std::time::Duration::from_secs(10);
    let relay = Relay {
        store: store.clone(),
        bus: Arc::new(bus.clone()),
        publish: Arc::new(Additions),
        lease: Lease::new(store.database().clone(), Relay::LEASE, new_id(), ttl),
        clock: clock.clock(),
    };
    let shutdown = CancellationToken::new();
    (tokio::spawn(relay.run(shutdown.clone())), shutdown)
}

async fn public_events_are_published_in_order(place: Place) {
    let store = place.open().await;
    let id = new_id();
    let mut call = context(new_id());
    call.metadata.correlation = Some(new_id());
    call.metadata.traceparent = Some("00-ab-cd-01".into());
    call.metadata.tracestate = Some("congo=t61rcWkgMzE".into());
    let bus = StubBus::default();
    let (running, shutdown) = start(&store, &bus, &TestClock::default());
    let command = Command::AddEach((1..=300).collect());
    store.execute::<Counter>(id, &command, &call).await.unwrap();
    store
        .execute::<Counter>(id, &Command::Close, &context(new_id()))
        .await
        .unwrap();
    let other = place.open().await;
    // What another process appends is found as well.
    other.append(append(new_id(), 0, &[7])).await.unwrap();
    eventually("all is published", async || bus.positions().len() == 301).await;
    // The private event at 301 is left out.
    let expected: Vec<i64> = (1..=300).chain([302]).collect();
    assert_eq!(bus.positions(), expected);
    let message = &bus.published()[0];
    assert_eq!(message.id, store.read(0, 1).await.unwrap()[0].id);
    assert_eq!(message.subject, ADDED);
    assert_eq!(message.payload[..], 1_i64.to_be_bytes());
    let header = |name: &str| message.headers[name].clone();
    assert_eq!(header("actor"), "test");
    assert_eq!(
        header("correlation"),
        call.metadata.correlation.unwrap().to_string()
    );
    assert_eq!(header("traceparent"), "00-ab-cd-01");
    assert_eq!(header("tracestate"), "congo=t61rcWkgMzE");
    shutdown.cancel();
    within(running).await.unwrap();
}

async fn the_checkpoint_stays_before_what_is_not_safe(place: Place) {
    let store = place.open().await;
    let bys: Vec<i64> = (1..=200).collect();
    store.append(append(new_id(), 0, &bys)).await.unwrap();
    let clock = TestClock::default();
    let bus = StubBus::holding();
    let (running, _) = start(&store, &bus, &clock);
    eventually("all is under way", async || bus.positions().len() == 200).await;
    // All is safe but the first: a crash now must have all of it published again.
    (2..=200).for_each(|position| bus.resolve(position));
    running.abort();
    assert!(within(running).await.unwrap_err().is_cancelled());

    // The lease of the one that died has to run out.
    clock.forward(11);
    let bus = StubBus::holding();
    let (running, _) = start(&store, &bus, &clock);
    eventually("all is under way again", async || {
        bus.positions().len() == 200
    })
    .await;
    assert_eq!(bus.positions()[0], 1);
    // Safe up to 120, and beyond without 121.
    (1..=120)
        .chain(122..=200)
        .for_each(|position| bus.resolve(position));
    eventually("the checkpoint moves", async || {
        checkpoint(&store).await >= 64
    })
    .await;
    running.abort();
    assert!(within(running).await.unwrap_err().is_cancelled());

    clock.forward(11);
    let bus = StubBus::default();
    let (running, shutdown) = start(&store, &bus, &clock);
    eventually("the rest is published", async || {
        bus.positions().last() == Some(&200)
    })
    .await;
    let first = bus.positions()[0];
    assert!((65..=121).contains(&first), "begins at {first}");
    eventually("the checkpoint is at the end", async || {
        checkpoint(&store).await == 200
    })
    .await;
    shutdown.cancel();
    within(running).await.unwrap();
}

async fn checkpoint(store: &EventStore) -> i64 {
    use portico_eventstore::sqlx::{self, Row as _};
    let rows = sqlx::query("SELECT position FROM checkpoints")
        .fetch_all(store.database().pool())
        .await
        .unwrap();
    assert!(rows.len() <= 1, "more than one checkpoint");
    rows.first().map_or(0, |row| row.get(0))
}

async fn a_bus_that_lost_its_data_gets_everything_again(place: Place) {
    let store = place.open().await;
    store.append(append(new_id(), 0, &[1, 2, 3])).await.unwrap();
    let clock = TestClock::default();
    let bus = StubBus::default();
    bus.set_incarnation("first");
    let (running, shutdown) = start(&store, &bus, &clock);
    eventually("the checkpoint is at the end", async || {
        checkpoint(&store).await == 3
    })
    .await;
    assert_eq!(bus.positions(), [1, 2, 3]);
    // While it runs, with nothing new to publish.
    bus.set_incarnation("second");
    clock.forward(4);
    eventually("all is published again", async || {
        bus.positions().len() == 6
    })
    .await;
    eventually("the checkpoint is at the end", async || {
        checkpoint(&store).await == 3
    })
    .await;
    shutdown.cancel();
    within(running).await.unwrap();
    // The same one as before: nothing again. And another one, found at the start.
    let (running, shutdown) = start(&store, &bus, &clock);
    store.append(append(new_id(), 0, &[4])).await.unwrap();
    eventually("the new one is published", async || {
        bus.positions().len() == 7
    })
    .await;
    shutdown.cancel();
    within(running).await.unwrap();
    bus.set_incarnation("third");
    let (running, shutdown) = start(&store, &bus, &clock);
    eventually("all is published again", async || {
        bus.positions().len() == 11
    })
    .await;
    assert_eq!(bus.positions(), [1, 2, 3, 1, 2, 3, 4, 1, 2, 3, 4]);
    shutdown.cancel();
    within(running).await.unwrap();
}

async fn two_relays_take_turns(place: Place) {
    let store = place.open().await;
    let clock = TestClock::default();
    let buses = [StubBus::default(), StubBus::default()];
    let (first, stop_first) = start(&store, &buses[0], &clock);
    store.append(append(new_id(), 0, &[1])).await.unwrap();
    eventually("the first relays", async || buses[0].positions() == [1]).await;
    eventually("the checkpoint moves", async || {
        checkpoint(&store).await == 1
    })
    .await;
    let (second, stop_second) = start(&place.open().await, &buses[1], &clock);
    store.append(append(new_id(), 0, &[2])).await.unwrap();
    eventually("the first relays", async || buses[0].positions() == [1, 2]).await;
    assert_eq!(buses[1].positions(), [0; 0]);
    // It gives its lease up in the end, so the second need not wait for it to expire.
    eventually("the checkpoint moves", async || {
        checkpoint(&store).await == 2
    })
    .await;
    stop_first.cancel();
    within(first).await.unwrap();
    store.append(append(new_id(), 0, &[3])).await.unwrap();
    eventually("the second relays", async || buses[1].positions() == [3]).await;
    stop_second.cancel();
    within(second).await.unwrap();
}

async fn asks_for_all_after(store: &EventStore, clock: &TestClock, from: i64) {
    let now = clock.now();
    republish(store.database(), from, "somebody", now, new_id())
        .await
        .unwrap();
}

async fn events_are_published_again_on_request(place: Place) {
    let store = place.open().await;
    store.append(append(new_id(), 0, &[1, 2, 3])).await.unwrap();
    let (clock, bus) = (TestClock::default(), StubBus::default());
    // Nothing is there to be published again: no request.
    asks_for_all_after(&store, &clock, 3).await;
    assert_eq!(status(store.database()).await.unwrap().republishing, None);
    let (running, shutdown) = start(&store, &bus, &clock);
    eventually("all is published", async || checkpoint(&store).await == 3).await;
    asks_for_all_after(&store, &clock, 1).await;
    let asked = status(store.database()).await.unwrap();
    assert_eq!((asked.position, asked.head), (3, 3));
    let again = asked.republishing.unwrap();
    assert_eq!((again.position, again.until), (1, 3));
    assert_eq!(again.requested_by, "somebody");
    // The relay looks when it prolongs its lease.
    clock.forward(4);
    eventually("it is done", async || {
        status(store.database())
            .await
            .unwrap()
            .republishing
            .is_none()
    })
    .await;
    store.append(append(new_id(), 0, &[4])).await.unwrap();
    eventually("the new one is published", async || {
        bus.positions() == [1, 2, 3, 2, 3, 4]
    })
    .await;
    let marked = marked(&bus, REPUBLISHED);
    assert_eq!(marked, [false, false, false, true, true, false]);
    eventually("the checkpoint follows", async || {
        checkpoint(&store).await == 4
    })
    .await;
    shutdown.cancel();
    within(running).await.unwrap();
}

fn marked(bus: &StubBus, header: &str) -> Vec<bool> {
    let published = bus.published();
    let has = published.iter().map(|one| one.headers.contains_key(header));
    has.collect()
}

async fn a_request_to_publish_again_outlives_a_crash(place: Place) {
    let store = place.open().await;
    let bys: Vec<i64> = (1..=200).collect();
    store.append(append(new_id(), 0, &bys)).await.unwrap();
    let (clock, bus) = (TestClock::default(), StubBus::default());
    let (running, shutdown) = start(&store, &bus, &clock);
    eventually("all is published", async || checkpoint(&store).await == 200).await;
    shutdown.cancel();
    within(running).await.unwrap();
    asks_for_all_after(&store, &clock, 0).await;
    let bus = StubBus::holding();
    let (running, _) = start(&store, &bus, &clock);
    eventually("all is under way", async || bus.positions().len() == 200).await;
    (1..=120).for_each(|position| bus.resolve(position));
    eventually("it is noted", async || {
        let again = status(store.database()).await.unwrap().republishing;
        again.is_some_and(|again| again.position >= 64)
    })
    .await;
    running.abort();
    assert!(within(running).await.unwrap_err().is_cancelled());
    clock.forward(11);
    // Another request for less does not shorten the one that is not done.
    asks_for_all_after(&store, &clock, 199).await;
    let bus = StubBus::default();
    let (running, shutdown) = start(&store, &bus, &clock);
    eventually("it is done", async || {
        status(store.database())
            .await
            .unwrap()
            .republishing
            .is_none()
    })
    .await;
    let first = bus.positions()[0];
    assert!((65..=121).contains(&first), "begins at {first}");
    assert_eq!(bus.positions().last(), Some(&200));
    assert_eq!(checkpoint(&store).await, 200);
    shutdown.cancel();
    within(running).await.unwrap();
}

/// Also to a bus that has lost everything, and also what was published after the last note: its checkpoint has the time.
async fn what_is_published_again_says_by_when_it_was_published(place: Place) {
    let store = place.open().await;
    let (clock, bus) = (TestClock::default(), StubBus::default());
    bus.set_incarnation("first");
    let (running, shutdown) = start(&store, &bus, &clock);
    let mut days = Vec::new();
    for by in 1..=2 {
        store.append(append(new_id(), 0, &[by])).await.unwrap();
        eventually("it is published", async || checkpoint(&store).await == by).await;
        clock.forward(25 * 3600);
        days.push(clock.now().to_string());
        eventually("it is noted", async || rows(&store).await == by).await;
    }
    store.append(append(new_id(), 0, &[3])).await.unwrap();
    eventually("it is published", async || checkpoint(&store).await == 3).await;
    days.push(clock.now().to_string());
    shutdown.cancel();
    within(running).await.unwrap();
    clock.forward(25 * 3600);
    bus.set_incarnation("second");
    let (running, shutdown) = start(&store, &bus, &clock);
    eventually("all is published again", async || {
        bus.positions().len() == 6
    })
    .await;
    shutdown.cancel();
    within(running).await.unwrap();
    let published = bus.published();
    let by = published
        .iter()
        .map(|one| one.headers.get(PUBLISHED_BY).cloned());
    let known = days.into_iter().map(Some);
    let expected = [None, None, None].into_iter().chain(known);
    assert!(by.eq(expected), "{published:?}");
}

async fn rows(store: &EventStore) -> i64 {
    use portico_eventstore::sqlx::{self, Row as _};
    let row = sqlx::query("SELECT COUNT(*) FROM published").fetch_one(store.database().pool());
    row.await.unwrap().get(0)
}
