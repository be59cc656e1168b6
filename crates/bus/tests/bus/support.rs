//! Messages and waiting, for the contract suite and the NATS tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    future::Future,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use portico_bus::{
    BusError, ConsumerSpec, Deliveries, Delivery, Message, NatsBus, NatsSettings, SharedBus,
};
use portico_trials::NatsServer;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// Far more than anything here takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const APPROVED: &str = "portico.access.access_approved";
pub(crate) const REVOKED: &str = "portico.access.access_revoked";
pub(crate) const REGISTRATION: ConsumerSpec = ConsumerSpec {
    name: "registration",
    subjects: &[APPROVED],
};
pub(crate) const NOTIFICATION: ConsumerSpec = ConsumerSpec {
    name: "notification",
    subjects: &[APPROVED, REVOKED],
};

pub(crate) fn message(n: u128, subject: &str) -> Message {
    Message {
        id: Uuid::from_u128(n),
        subject: subject.into(),
        payload: Bytes::from(n.to_string()),
        headers: BTreeMap::from([("correlation".into(), n.to_string())]),
    }
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(LIMIT, work).await.expect("within the limit")
}

pub(crate) async fn next(deliveries: &mut Box<dyn Deliveries>) -> Delivery {
    within(deliveries.next()).await.expect("the bus is open")
}

/// Acknowledges whatever comes, without end.
pub(crate) async fn acknowledge_all(deliveries: &mut Box<dyn Deliveries>) -> Infallible {
    loop {
        let delivery = deliveries.next().await.expect("the bus is open");
        delivery.ack().await.expect("acknowledged");
    }
}

/// Acknowledges until `wanted` different messages were delivered; what was delivered, repetitions included.
pub(crate) async fn drain(deliveries: &mut Box<dyn Deliveries>, wanted: usize) -> Vec<Message> {
    let mut ids = BTreeSet::new();
    let mut seen = Vec::new();
    while ids.len() < wanted {
        let delivery = next(deliveries).await;
        delivery.ack().await.expect("acknowledged");
        ids.insert(delivery.message.id);
        seen.push(delivery.message);
    }
    seen
}

/// As the relay does: publishes until the bus has it safely.
pub(crate) async fn publish_until_safe(bus: &SharedBus, message: &Message) {
    let attempts = async {
        while publish(bus, message.clone()).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    within(attempts).await;
}

pub(crate) async fn publish(bus: &SharedBus, message: Message) -> Result<(), BusError> {
    bus.publish(message).await?.await
}

pub(crate) fn nats_settings(server: &NatsServer) -> NatsSettings {
    NatsSettings {
        url: server.url(),
        connect_wait: LIMIT,
        ack_wait: Duration::from_secs(2),
        batch: 16,
        ..NatsSettings::default()
    }
}

pub(crate) async fn nats(server: &NatsServer) -> SharedBus {
    Arc::new(
        NatsBus::connect(nats_settings(server))
            .await
            .expect("settings are right"),
    )
}
