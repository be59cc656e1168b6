//! The stream and its durable consumers, as they should be on the server.

use async_nats::jetstream::{
    self, ErrorCode,
    consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
    context::GetStreamErrorKind,
    stream,
};

use super::{NatsSettings, unavailable};
use crate::{BusError, ConsumerSpec};

/// Every subject of ours.
const SUBJECTS: &str = "portico.>";
const DESCRIPTION: &str = "Public events of Portico";

/// Creates the stream unless it exists, and updates the settings that are ours.
///
/// What the operator configured otherwise, such as placement or a limit on bytes, is kept. A refused update is only
/// logged: the stream still works as it is.
pub(super) async fn ensure_stream(
    js: &jetstream::Context,
    settings: &NatsSettings,
) -> Result<stream::Info, BusError> {
    match js.get_stream(&settings.stream).await {
        Ok(stream) => {
            let present = stream.cached_info().clone();
            let wanted = wanted(settings, present.config.clone());
            if wanted == present.config {
                return Ok(present);
            }
            match js.update_stream(&wanted).await {
                Ok(updated) => Ok(updated),
                Err(error) => {
                    tracing::warn!(stream = settings.stream, %error, "the stream's settings were not taken");
                    Ok(present)
                }
            }
        }
        Err(error) if is_missing(error.kind()) => {
            let config = stream::Config {
                name: settings.stream.clone(),
                storage: stream::StorageType::File,
                retention: stream::RetentionPolicy::Limits,
                discard: stream::DiscardPolicy::Old,
                ..stream::Config::default()
            };
            let created = js
                .create_stream(wanted(settings, config))
                .await
                .map_err(unavailable)?;
            tracing::info!(stream = settings.stream, "stream made");
            Ok(created.cached_info().clone())
        }
        Err(error) => Err(unavailable(error)),
    }
}

fn is_missing(kind: GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn wanted(settings: &NatsSettings, config: stream::Config) -> stream::Config {
    stream::Config {
        description: Some(DESCRIPTION.into()),
        subjects: vec![SUBJECTS.into()],
        max_age: settings.max_age,
        // The server refuses a window longer than the age.
        duplicate_window: settings.duplicate_window.min(settings.max_age),
        num_replicas: usize::from(settings.replicas),
        ..config
    }
}

/// Creates or updates the consumer.
pub(super) async fn declare_consumer(
    js: &jetstream::Context,
    settings: &NatsSettings,
    spec: &ConsumerSpec,
) -> Result<(), BusError> {
    js.create_consumer_on_stream(consumer_config(settings, spec), &settings.stream)
        .await
        .map(drop)
        .map_err(unavailable)
}

/// Creates the consumer unless it exists. A newer replica may have declared more subjects, so an existing one is left
/// as it is.
pub(super) async fn ensure_consumer(
    js: &jetstream::Context,
    settings: &NatsSettings,
    spec: &ConsumerSpec,
) -> Result<(), BusError> {
    if find_consumer(js, settings, spec).await.is_ok() {
        return Ok(());
    }
    declare_consumer(js, settings, spec).await?;
    tracing::info!(consumer = spec.name, "consumer made");
    Ok(())
}

pub(super) async fn find_consumer(
    js: &jetstream::Context,
    settings: &NatsSettings,
    spec: &ConsumerSpec,
) -> Result<Consumer<pull::Config>, BusError> {
    js.get_consumer_from_stream(spec.name, &settings.stream)
        .await
        .map_err(unavailable)
}

fn consumer_config(settings: &NatsSettings, spec: &ConsumerSpec) -> pull::Config {
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
