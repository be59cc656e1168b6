//! The durable consumers of the stream, as they should be on the server.

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
};

use super::{NatsSettings, unavailable};
use crate::{BusError, ConsumerSpec};

/// Creates or updates the consumer.
pub(super) async fn declare(
    js: &jetstream::Context,
    settings: &NatsSettings,
    spec: &ConsumerSpec,
) -> Result<(), BusError> {
    js.create_consumer_on_stream(config(settings, spec), &settings.stream)
        .await
        .map(drop)
        .map_err(unavailable)
}

/// Creates the consumer unless it exists. A newer replica may have declared more subjects, so an existing one is left
/// as it is.
pub(super) async fn ensure(
    js: &jetstream::Context,
    settings: &NatsSettings,
    spec: &ConsumerSpec,
) -> Result<(), BusError> {
    if find(js, settings, spec).await.is_ok() {
        return Ok(());
    }
    declare(js, settings, spec).await?;
    tracing::info!(consumer = spec.name, "consumer made");
    Ok(())
}

pub(super) async fn find(
    js: &jetstream::Context,
    settings: &NatsSettings,
    spec: &ConsumerSpec,
) -> Result<Consumer<pull::Config>, BusError> {
    js.get_consumer_from_stream(spec.name, &settings.stream)
        .await
        .map_err(unavailable)
}

fn config(settings: &NatsSettings, spec: &ConsumerSpec) -> pull::Config {
    let mut subjects: Vec<String> = spec.subjects.iter().map(ToString::to_string).collect();
    subjects.sort_unstable();
    // The server refuses subjects that overlap.
    subjects.dedup();
    pull::Config {
        durable_name: Some(spec.name.into()),
        filter_subjects: subjects,
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
