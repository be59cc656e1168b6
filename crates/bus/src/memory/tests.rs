//! What only the memory bus promises; the rest is in the contract suite.

use std::collections::BTreeMap;

use bytes::Bytes;
use uuid::Uuid;

use super::*;

const SUBJECT: &str = "portico.access.access_approved";
const SPEC: ConsumerSpec = ConsumerSpec {
    name: "registration",
    subjects: &[SUBJECT],
};

fn message(n: u128) -> Message {
    Message {
        id: Uuid::from_u128(n),
        subject: SUBJECT.into(),
        payload: Bytes::from_static(b"x"),
        headers: BTreeMap::new(),
    }
}

/// Publishes `count` messages and consumes until every receipt resolved; the order of what was delivered.
async fn run(faults: Faults, count: u128) -> (MemoryBus, Vec<u128>) {
    let bus = MemoryBus::with_faults(faults);
    bus.declare(&[SPEC]).await.unwrap();
    let mut receipts = Vec::new();
    for n in 0..count {
        receipts.push(bus.publish(message(n)).await.unwrap());
    }
    let mut deliveries = bus.consume(&SPEC).await.unwrap();
    let mut seen = Vec::new();
    let mut all = pin!(futures::future::join_all(receipts));
    loop {
        tokio::select! {
            biased;
            _ = &mut all => return (bus, seen),
            delivery = deliveries.next() => {
                let delivery = delivery.unwrap();
                seen.push(delivery.message.id.as_u128());
                delivery.ack().await.unwrap();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_delivers_in_the_same_order() {
    let faults = Faults {
        seed: 3,
        duplicate: 0.3,
        delay: Duration::from_millis(40),
        reorder: 0.3,
        drop: 0.3,
    };
    let (_, first) = run(faults, 100).await;
    let (_, second) = run(faults, 100).await;
    let (_, other) = run(Faults { seed: 4, ..faults }, 100).await;
    assert_eq!(first, second);
    assert_ne!(first, other);
    let mut sorted = first.clone();
    sorted.sort_unstable();
    assert_ne!(first, sorted, "nothing was reordered");
    assert!(first.len() > 100, "nothing was duplicated");
}

#[tokio::test(start_paused = true)]
async fn without_faults_order_is_kept() {
    let (_, seen) = run(Faults::default(), 100).await;
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn every_message_twice_when_all_are_duplicated() {
    let faults = Faults {
        seed: 1,
        duplicate: 1.0,
        ..Faults::default()
    };
    let (bus, seen) = run(faults, 10).await;
    let mut deliveries = bus.consume(&SPEC).await.unwrap();
    let mut count = seen.len();
    while let Some(Some(delivery)) = deliveries.next().now_or_never() {
        delivery.ack().await.unwrap();
        count += 1;
    }
    assert_eq!(count, 20);
}

#[tokio::test(start_paused = true)]
async fn nothing_remains_of_acknowledged_messages() {
    let faults = Faults {
        seed: 1,
        drop: 0.5,
        ..Faults::default()
    };
    let (bus, _) = run(faults, 200).await;
    assert!(bus.shared.lock().queues[SPEC.name].is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_late_acknowledgement_withdraws_the_redelivery() {
    let bus = MemoryBus::new().with_ack_wait(Duration::from_secs(1));
    bus.declare(&[SPEC]).await.unwrap();
    let receipt = bus.publish(message(1)).await.unwrap();
    let mut deliveries = bus.consume(&SPEC).await.unwrap();
    let first = deliveries.next().await.unwrap();
    let second = deliveries.next().await.unwrap();
    assert_eq!((first.attempt, second.attempt), (1, 2));
    first.ack().await.unwrap();
    receipt.await.unwrap();
    assert!(bus.shared.lock().queues[SPEC.name].is_empty());
}

#[tokio::test]
async fn closing_ends_deliveries_and_receipts() {
    let bus = MemoryBus::new();
    bus.declare(&[SPEC]).await.unwrap();
    let mut deliveries = bus.consume(&SPEC).await.unwrap();
    let waiting = tokio::spawn(async move { deliveries.next().await.is_none() });
    tokio::task::yield_now().await;
    let other = ConsumerSpec {
        name: "other",
        subjects: &["portico.other.happened"],
    };
    bus.declare(&[other]).await.unwrap();
    let mut unconsumed = message(1);
    unconsumed.subject = "portico.other.happened".into();
    let receipt = bus.publish(unconsumed).await.unwrap();
    drop(bus);
    assert!(waiting.await.unwrap());
    assert!(matches!(receipt.await, Err(BusError::Unavailable(_))));
}
