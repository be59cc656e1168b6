//! What every bus has to do, run for the memory bus, the memory bus with faults, and NATS JetStream.

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use portico_bus::{
    BusError, ConsumerSpec, Delivery, Faults, MemoryBus, Receipt, SharedBus, Waiting,
};
use portico_trials::{NATS, NatsServer, Trial, single, trials};
use tokio::{sync::Barrier, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::support::{self, *};

/// Between two looks at what no event tells.
const POLL: Duration = Duration::from_millis(10);

struct Rig {
    bus: SharedBus,
    /// Nothing is delivered twice unless it is asked for.
    exact: bool,
    _server: Option<NatsServer>,
}

async fn memory() -> Rig {
    let bus = MemoryBus::new().with_ack_wait(Duration::from_millis(500));
    Rig {
        bus: Arc::new(bus),
        exact: true,
        _server: None,
    }
}

async fn memory_with_faults() -> Rig {
    let bus = MemoryBus::with_faults(Faults {
        seed: 42,
        duplicate: 0.2,
        delay: Duration::from_millis(20),
        reorder: 0.3,
        drop: 0.2,
    });
    Rig {
        bus: Arc::new(bus),
        exact: false,
        _server: None,
    }
}

async fn nats() -> Rig {
    let server = NatsServer::start().await.unwrap();
    Rig {
        bus: support::nats(&server).await,
        exact: true,
        _server: Some(server),
    }
}

async fn rig(bus: &str) -> Rig {
    match bus {
        "memory" => memory().await,
        "memory_with_faults" => memory_with_faults().await,
        _ => nats().await,
    }
}

/// Makes of every function a test on each bus.
macro_rules! contract {
    ($($test:ident),+ $(,)?) => {
        fn contract() -> Vec<Trial> {
            let mut trials = Vec::new();
            for (bus, needs) in [("memory", &[][..]), ("memory_with_faults", &[]), ("nats", &[NATS])] {
                $(trials.push(Trial::new(module_path!(), &format!("{bus}::{}", stringify!($test)), needs, single(
                    move || async move { $test(&rig(bus).await).await },
                )));)+
            }
            trials
        }
    };
}

contract!(
    every_declared_consumer_gets_all_of_its_subjects,
    consumers_of_one_name_share_the_work,
    retry_delivers_later_with_a_higher_attempt,
    messages_wait_for_their_consumer,
    receipts_resolve_once_consumed,
    a_subject_without_consumers_is_accepted,
    payload_and_headers_arrive_intact,
    ten_thousand_messages_arrive,
    a_new_consumer_gets_what_the_old_one_left,
    an_undeclared_consumer_is_refused,
    the_same_id_may_be_published_twice,
    declaring_again_changes_the_subjects,
    giving_up_waiting_loses_nothing,
    a_working_bus_is_ready,
    what_waits_is_counted_by_subject_and_ages,
);

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = contract();
    trials.extend(trials!(single, []; a_memory_receipt_waits_for_every_consumer));
    trials.extend(trials!(single, [NATS]; a_nats_receipt_waits_for_the_server_only));
    trials
}

async fn every_declared_consumer_gets_all_of_its_subjects(rig: &Rig) {
    rig.bus
        .declare(&[REGISTRATION, NOTIFICATION])
        .await
        .unwrap();
    let mut receipts = Vec::new();
    for n in 0..30 {
        let subject = if n % 3 == 0 { REVOKED } else { APPROVED };
        receipts.push(rig.bus.publish(message(n, subject)).await.unwrap());
    }
    let mut registration = rig.bus.consume(&REGISTRATION).await.unwrap();
    let mut notification = rig.bus.consume(&NOTIFICATION).await.unwrap();
    let (registered, notified) =
        tokio::join!(drain(&mut registration, 20), drain(&mut notification, 30));
    assert!(registered.iter().all(|message| message.subject == APPROVED));
    let ids: BTreeSet<_> = notified
        .iter()
        .map(|message| message.id.as_u128())
        .collect();
    assert_eq!(ids, (0..30).collect());
}

async fn consumers_of_one_name_share_the_work(rig: &Rig) {
    const COUNT: usize = 200;
    rig.bus.declare(&[REGISTRATION]).await.unwrap();
    let mut receipts = Vec::new();
    for n in 0..COUNT as u128 {
        receipts.push(rig.bus.publish(message(n, APPROVED)).await.unwrap());
    }
    let both_work = Arc::new(Barrier::new(2));
    let done = CancellationToken::new();
    let (worked, mut progress) = tokio::sync::mpsc::unbounded_channel();
    let mut workers = Vec::new();
    for _ in 0..2 {
        let mut deliveries = rig.bus.consume(&REGISTRATION).await.unwrap();
        let (both_work, done, worked) = (Arc::clone(&both_work), done.clone(), worked.clone());
        workers.push(tokio::spawn(async move {
            let mut count = 0;
            while let Some(delivery) = done.run_until_cancelled(next(&mut deliveries)).await {
                count += 1;
                if count == 1 {
                    within(both_work.wait()).await;
                }
                delivery.ack().await.unwrap();
                worked.send(delivery.message.id).unwrap();
            }
            count
        }));
    }
    let mut ids = BTreeSet::new();
    while ids.len() < COUNT {
        ids.insert(within(progress.recv()).await.unwrap());
    }
    done.cancel();
    let mut total = 0;
    for worker in workers {
        let count = worker.await.unwrap();
        assert!(count > 0, "one worker got nothing");
        total += count;
    }
    assert!(total < 2 * COUNT, "each got everything: {total}");
}

async fn retry_delivers_later_with_a_higher_attempt(rig: &Rig) {
    const DELAY: Duration = Duration::from_millis(300);
    rig.bus.declare(&[REGISTRATION]).await.unwrap();
    let _receipt = rig.bus.publish(message(1, APPROVED)).await.unwrap();
    let mut deliveries = rig.bus.consume(&REGISTRATION).await.unwrap();
    let first = next(&mut deliveries).await;
    assert!(first.attempt == 1 || !rig.exact, "attempts count from 1");
    let asked = Instant::now();
    first.retry(DELAY).await.unwrap();
    let mut second = next(&mut deliveries).await;
    while second.attempt <= first.attempt {
        assert!(!rig.exact, "attempt {} again", second.attempt);
        second.ack().await.unwrap();
        second = next(&mut deliveries).await;
    }
    assert_eq!(second.message, first.message);
    assert!(asked.elapsed() >= DELAY || !rig.exact, "came too early");
    assert!(
        second.attempt == 2 || !rig.exact,
        "attempt {}",
        second.attempt
    );
    second.ack().await.unwrap();
}

async fn messages_wait_for_their_consumer(rig: &Rig) {
    rig.bus.declare(&[REGISTRATION]).await.unwrap();
    let _receipt = rig.bus.publish(message(7, APPROVED)).await.unwrap();
    let mut deliveries = rig.bus.consume(&REGISTRATION).await.unwrap();
    assert_eq!(drain(&mut deliveries, 1).await[0], message(7, APPROVED));
}

async fn receipts_resolve_once_consumed(rig: &Rig) {
    rig.bus
        .declare(&[REGISTRATION, NOTIFICATION])
        .await
        .unwrap();
    let receipt = rig.bus.publish(message(1, APPROVED)).await.unwrap();
    let mut registration = rig.bus.consume(&REGISTRATION).await.unwrap();
    let mut notification = rig.bus.consume(&NOTIFICATION).await.unwrap();
    // A copy may come before the one that the receipt waits for.
    tokio::select! {
        resolved = within(receipt) => resolved.unwrap(),
        _ = acknowledge_all(&mut registration) => {}
        _ = acknowledge_all(&mut notification) => {}
    }
}

async fn a_subject_without_consumers_is_accepted(rig: &Rig) {
    rig.bus.declare(&[REGISTRATION]).await.unwrap();
    within(publish(&rig.bus, message(1, REVOKED)))
        .await
        .unwrap();
}

async fn payload_and_headers_arrive_intact(rig: &Rig) {
    rig.bus.declare(&[REGISTRATION]).await.unwrap();
    let mut full = message(1, APPROVED);
    full.payload = Bytes::from((0..200_000).map(|n| (n % 256) as u8).collect::<Vec<_>>());
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (name, value) in [
        ("traceparent", trace),
        ("empty", ""),
        ("Mixed-Case", " spaces around "),
        ("odd name:é", "line\r\nbreak: é % 100%25"),
        ("Nats-Msg-Id", "not the id"),
    ] {
        full.headers.insert(name.into(), value.into());
    }
    let mut empty = message(2, APPROVED);
    empty.payload = Bytes::new();
    empty.headers.clear();
    let _receipts = [
        rig.bus.publish(full.clone()).await.unwrap(),
        rig.bus.publish(empty.clone()).await.unwrap(),
    ];
    let mut deliveries = rig.bus.consume(&REGISTRATION).await.unwrap();
    for seen in drain(&mut deliveries, 2).await {
        assert_eq!(
            seen,
            if seen.id == full.id {
                full.clone()
            } else {
                empty.clone()
            }
        );
    }
}

async fn ten_thousand_messages_arrive(rig: &Rig) {
    const COUNT: usize = 10_000;
    const WINDOW: usize = 256;
    rig.bus.declare(&[REGISTRATION]).await.unwrap();
    let mut deliveries = rig.bus.consume(&REGISTRATION).await.unwrap();
    let mut published = pin!(async {
        let mut receipts = FuturesUnordered::<Receipt>::new();
        for n in 0..COUNT as u128 {
            if receipts.len() == WINDOW {
                receipts.next().await.unwrap().unwrap();
            }
            receipts.push(rig.bus.publish(message(n, APPROVED)).await.unwrap());
        }
        while let Some(receipt) = receipts.next().await {
            receipt.unwrap();
        }
    });
    let mut ids = BTreeSet::new();
    let mut all_published = false;
    within(async {
        // Also after every message was seen: a receipt may wait for the copy that comes last.
        while !all_published || ids.len() < COUNT {
            tokio::select! {
                () = &mut published, if !all_published => all_published = true,
                delivery = deliveries.next() => {
                    let delivery = delivery.unwrap();
                    delivery.ack().await.unwrap();
                    ids.insert(delivery.message.id.as_u128());
                }
            }
        }
    })
    .await;
    assert_eq!(ids, (0..COUNT as u128).collect());
}

async fn a_new_consumer_gets_what_the_old_one_left(rig: &Rig) {
    rig.bus.declare(&[REGISTRATION]).await.unwrap();
    let mut receipts = Vec::new();
    for n in 0..5 {
        receipts.push(rig.bus.publish(message(n, APPROVED)).await.unwrap());
    }
    let mut old = rig.bus.consume(&REGISTRATION).await.unwrap();
    let mut taken = BTreeSet::new();
    while taken.len() < 3 {
        taken.insert(next(&mut old).await.message.id);
    }
    drop(old);
    let mut new = rig.bus.consume(&REGISTRATION).await.unwrap();
    let mut attempts = std::collections::BTreeMap::new();
    while attempts.len() < 5 {
        let Delivery {
            message,
            attempt,
            settle,
        } = next(&mut new).await;
        settle.ack().await.unwrap();
        attempts.insert(message.id, attempt);
    }
    for id in taken {
        assert!(
            attempts[&id] > 1 || !rig.exact,
            "attempt {} of {id}",
            attempts[&id]
        );
    }
}

async fn an_undeclared_consumer_is_refused(rig: &Rig) {
    rig.bus.declare(&[NOTIFICATION]).await.unwrap();
    let refused = rig.bus.consume(&REGISTRATION).await;
    assert!(matches!(refused.err(), Some(BusError::Undeclared(name)) if name == "registration"));
}

async fn the_same_id_may_be_published_twice(rig: &Rig) {
    rig.bus.declare(&[REGISTRATION]).await.unwrap();
    let first = rig.bus.publish(message(1, APPROVED)).await.unwrap();
    let second = rig.bus.publish(message(1, APPROVED)).await.unwrap();
    let mut deliveries = rig.bus.consume(&REGISTRATION).await.unwrap();
    let both = async { tokio::try_join!(first, second) };
    let acknowledging = async {
        loop {
            drain(&mut deliveries, 1).await;
        }
    };
    tokio::select! {
        both = within(both) => { both.unwrap(); }
        () = acknowledging => {}
    }
    let _third = rig.bus.publish(message(1, APPROVED)).await.unwrap();
}

async fn declaring_again_changes_the_subjects(rig: &Rig) {
    let before = ConsumerSpec {
        name: "growing",
        subjects: &[APPROVED],
    };
    let after = ConsumerSpec {
        name: "growing",
        subjects: &[APPROVED, REVOKED],
    };
    rig.bus
        .declare(std::slice::from_ref(&before))
        .await
        .unwrap();
    rig.bus.declare(&[before]).await.unwrap();
    rig.bus.declare(std::slice::from_ref(&after)).await.unwrap();
    let _receipt = rig.bus.publish(message(1, REVOKED)).await.unwrap();
    let mut deliveries = rig.bus.consume(&after).await.unwrap();
    assert_eq!(drain(&mut deliveries, 1).await[0].subject, REVOKED);
}

async fn giving_up_waiting_loses_nothing(rig: &Rig) {
    rig.bus.declare(&[REGISTRATION]).await.unwrap();
    let mut deliveries = rig.bus.consume(&REGISTRATION).await.unwrap();
    for n in 0..20 {
        let waited = tokio::time::timeout(Duration::from_millis(1), deliveries.next()).await;
        if let Ok(Some(delivery)) = waited {
            delivery.retry(Duration::ZERO).await.unwrap();
        }
        let _receipt = rig.bus.publish(message(n, APPROVED)).await.unwrap();
    }
    drain(&mut deliveries, 20).await;
}

async fn a_working_bus_is_ready(rig: &Rig) {
    rig.bus.declare(&[REGISTRATION]).await.unwrap();
    rig.bus.check().await.unwrap();
    assert_eq!(
        rig.bus.incarnation().await.unwrap(),
        rig.bus.incarnation().await.unwrap()
    );
}

async fn what_waits_is_counted_by_subject_and_ages(rig: &Rig) {
    rig.bus.declare(&[NOTIFICATION]).await.unwrap();
    let waiting = async || rig.bus.waiting(&NOTIFICATION).await.unwrap();
    let nothing = |subject| Waiting {
        subject,
        messages: Some(0),
        oldest: Duration::ZERO,
    };
    assert_eq!(waiting().await, [nothing(APPROVED), nothing(REVOKED)]);
    let mut receipts = Vec::new();
    for n in 1..=2 {
        receipts.push(rig.bus.publish(message(n, REVOKED)).await.unwrap());
    }
    let mut deliveries = rig.bus.consume(&NOTIFICATION).await.unwrap();
    let delivered = next(&mut deliveries).await;
    // The second one may be on its way yet.
    let both = async {
        loop {
            let [approved, revoked] = waiting().await.try_into().unwrap();
            assert_eq!(approved, nothing(APPROVED));
            if revoked.messages >= Some(2) && !revoked.oldest.is_zero() {
                return revoked;
            }
            sleep(POLL).await;
        }
    };
    let earlier = within(both).await;
    let later = waiting().await[1].clone();
    assert!(later.oldest > earlier.oldest, "{earlier:?} {later:?}");
    delivered.ack().await.unwrap();
    let done = async {
        while waiting().await != [nothing(APPROVED), nothing(REVOKED)] {
            sleep(POLL).await;
        }
    };
    tokio::select! {
        () = within(done) => {}
        never = acknowledge_all(&mut deliveries) => match never {},
    }
}

/// A memory bus keeps nothing, so its receipt has to wait for the consumers.
async fn a_memory_receipt_waits_for_every_consumer() {
    let rig = memory().await;
    rig.bus
        .declare(&[REGISTRATION, NOTIFICATION])
        .await
        .unwrap();
    let mut receipt = rig.bus.publish(message(1, APPROVED)).await.unwrap();
    let mut registration = rig.bus.consume(&REGISTRATION).await.unwrap();
    let mut notification = rig.bus.consume(&NOTIFICATION).await.unwrap();
    drain(&mut registration, 1).await;
    let delivered = next(&mut notification).await;
    assert!(futures::poll!(&mut receipt).is_pending());
    delivered.ack().await.unwrap();
    within(receipt).await.unwrap();
}

/// JetStream keeps messages, so its receipt does not wait for consumers.
async fn a_nats_receipt_waits_for_the_server_only() {
    let rig = nats().await;
    rig.bus.declare(&[REGISTRATION]).await.unwrap();
    within(publish(&rig.bus, message(1, APPROVED)))
        .await
        .unwrap();
}
