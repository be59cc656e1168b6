//! The durable consumers of the stream, as they should be on the server.

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
};

use super::{NatsSettings, unavailable};
use crate::{BusError, ConsumerSpec};

/// A durable consumer of one subject. A consumer with several could be given others by whoever may create it, since the
/// server's permissions name a consumer and one filter.
#[derive(Debug, Clone)]
pub(super) struct Durable {
    pub(super) name: String,
    pub(super) subject: &'static str,
}

/// The durable consumers of a consumer: name and subject of each.
pub fn durables(spec: &ConsumerSpec) -> Vec<(String, &'static str)> {
    all(spec).map(|one| (one.name, one.subject)).collect()
}

pub(super) fn all(spec: &ConsumerSpec) -> impl Iterator<Item = Durable> {
    spec.subjects.iter().map(|subject| {
        let event = subject.strip_prefix("portico.").unwrap_or(subject);
        // No durable name has a dot.
        let name = format!("{}-{}", spec.name, event.replace('.', "-"));
        Durable { name, subject }
    })
}

/// Creates or updates it.
pub(super) async fn declare(
    js: &jetstream::Context,
    settings: &NatsSettings,
    durable: &Durable,
) -> Result<(), BusError> {
    js.create_consumer_on_stream(config(settings, durable), &settings.stream)
        .await
        .map(drop)
        .map_err(unavailable)
}

/// Creates it unless it exists.
pub(super) async fn ensure(
    js: &jetstream::Context,
    settings: &NatsSettings,
    durable: &Durable,
) -> Result<(), BusError> {
    if find(js, settings, durable).await.is_ok() {
        return Ok(());
    }
    declare(js, settings, durable).await?;
    tracing::info!(consumer = durable.name, "consumer made");
    Ok(())
}

pub(super) async fn find(
    js: &jetstream::Context,
    settings: &NatsSettings,
    durable: &Durable,
) -> Result<Consumer<pull::Config>, BusError> {
    js.get_consumer_from_stream(&durable.name, &settings.stream)
        .await
        .map_err(unavailable)
}

fn config(settings: &NatsSettings, durable: &Durable) -> pull::Config {
    pull::Config {
        durable_name: Some(durable.name.clone()),
        // One filter stands in the address of the call that creates a consumer, and so in the permissions.
        filter_subject: durable.subject.into(),
        // A consumer declared after the first events, or again after the data was lost, misses nothing.
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: settings.ack_wait,
        max_ack_pending: i64::from(settings.max_ack_pending),
        // Parking a poison message is the consumer's decision, with the reason; the server would drop it silently.
        max_deliver: -1,
        ..pull::Config::default()
    }
}
