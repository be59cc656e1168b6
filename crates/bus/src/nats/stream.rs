//! The stream, as it should be on the server.

use async_nats::jetstream::{self, ErrorCode, context::GetStreamErrorKind, stream};

use super::{NatsSettings, unavailable};
use crate::BusError;

/// Every subject of ours.
const SUBJECTS: &str = "portico.>";
const DESCRIPTION: &str = "Public events of Portico";

/// Creates the stream unless it exists, and updates the settings that are ours.
///
/// What the operator configured otherwise, such as placement, is kept. A refused update is only logged: the stream still
/// works as it is, and a service's user need not have the right to change it.
pub(super) async fn ensure(
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
        max_bytes: match settings.max_bytes {
            0 => -1,
            most => i64::try_from(most).unwrap_or(i64::MAX),
        },
        // What was published must not wait for consumers: the stores have everything, see `portico relay`.
        discard: stream::DiscardPolicy::Old,
        // The server refuses a window longer than the age.
        duplicate_window: settings.duplicate_window.min(settings.max_age),
        num_replicas: usize::from(settings.replicas),
        // Readiness stores messages that end soon, and reads them. Never `allow_rollup`: whoever may publish anything could then
        // delete everything, by a header.
        allow_message_ttl: true,
        allow_direct: true,
        ..config
    }
}
